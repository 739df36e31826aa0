"""Which iptables rules and chains are the cluster's, and the input for iptables-restore that removes them."""

import re
import shlex
import subprocess

COMMENT = "mlops-operator"
# kube-proxy and the kubelet, the CNI plugins, ourselves.
_OURS = re.compile(r"^(KUBE|CNI|MLOPS)-")
FAMILIES = ("iptables", "ip6tables")
NFT_FAMILY = {"iptables": "ip", "ip6tables": "ip6"}
_CHAIN = re.compile(r"^:(\S+)")


def tables(saved: str) -> dict[str, list[str]]:
    """Split the output of iptables-save into the lines of each table, without counters and comments."""
    found: dict[str, list[str]] = {}
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
            found[table] = []
        elif table and line and not line.startswith("#") and line != "COMMIT":
            found[table].append(re.sub(r"\s*\[\d+:\d+\]", "", line).strip())
    return found


def is_ours(rule: str) -> bool:
    """Tell whether a rule (`-A CHAIN …`) stands in one of our chains, jumps to one, or carries our comment."""
    words = shlex.split(rule)
    jumps = [
        words[at + 1] for at, word in enumerate(words[:-1]) if word in {"-A", "-j", "-g", "--jump", "--goto"}
    ]
    comments = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--comment"]
    return any(_OURS.match(chain) for chain in jumps) or COMMENT in comments


def removal(saved: str) -> str:
    """Give the input for `iptables-restore --noflush` that removes what is ours and leaves all else.

    Parameters
    ----------
    saved
        The output of iptables-save.

    Returns
    -------
    str
        Empty when nothing is ours.
    """
    lines: list[str] = []
    for table, content in tables(saved).items():
        named = [match[1] for line in content if (match := _CHAIN.match(line))]
        chains = [name for name in named if _OURS.match(name)]
        rules = [line for line in content if line.startswith("-A ") and is_ours(line)]
        outside = [rule for rule in rules if rule.split()[1] not in chains]
        if not (chains or outside):
            continue
        lines.append(f"*{table}")
        # Declaring a chain empties it, so that none is in use any more when it is deleted.
        lines += [f":{chain} - [0:0]" for chain in chains]
        lines += [f"-D{rule.removeprefix('-A')}" for rule in outside]
        lines += [f"-X {chain}" for chain in chains]
        lines.append("COMMIT")
    return "".join(f"{line}\n" for line in lines)


def unused(saved: str, before: str) -> list[str]:
    """Give the tables that were not there before and hold nothing but built-in chains that accept."""
    return [
        table
        for table, content in tables(saved).items()
        if table not in tables(before) and all(line.startswith(":") and " ACCEPT" in line for line in content)
    ]


def save(family: str) -> str:
    """Give what iptables-save (or ip6tables-save) says."""
    return subprocess.run([f"{family}-save"], capture_output=True, text=True, check=True).stdout


def remove_ours(family: str, before: str) -> None:
    """Remove the cluster's rules and chains, and tables that exist only since then.

    Parameters
    ----------
    family
        `iptables` or `ip6tables`.
    before
        What iptables-save said before the cluster came up.
    """
    script = removal(save(family))
    if script:
        subprocess.run([f"{family}-restore", "--noflush"], input=script, text=True, check=True)
    if (
        "nf_tables"
        in subprocess.run([family, "--version"], capture_output=True, text=True, check=True).stdout
    ):
        for table in unused(save(family), before):
            # iptables itself cannot remove the built-in chains that its first use created.
            subprocess.run(["nft", "delete", "table", NFT_FAMILY[family], table], check=True)


def apply(family: str, script: str) -> None:
    """Feed rules to iptables-restore, keeping those that are there."""
    subprocess.run([f"{family}-restore", "--noflush"], input=script, text=True, check=True)


def masquerade(pod_network: str, bridge: str) -> str:
    """Give the rules by which pods reach the world outside: one for all of them, instead of a chain each."""
    note = f"-m comment --comment {COMMENT}"
    return f"""*nat
:MLOPS-POSTROUTING - [0:0]
-A MLOPS-POSTROUTING -s {pod_network} ! -d {pod_network} {note} -j MASQUERADE
-A POSTROUTING {note} -j MLOPS-POSTROUTING
COMMIT
*filter
:MLOPS-FORWARD - [0:0]
-A MLOPS-FORWARD -i {bridge} {note} -j ACCEPT
-A MLOPS-FORWARD -o {bridge} {note} -j ACCEPT
-A FORWARD {note} -j MLOPS-FORWARD
COMMIT
"""
