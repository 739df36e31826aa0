"""A pod that the kubelet took away because it wrote more than its own limit: a new attempt would end the same way."""

from __future__ import annotations

from mlops_operator.domain.observed import PodView
from mlops_operator.domain.volumes import OWN_PREFIX

# The kubelet's words; a node that runs out of disk is told in others, and is nobody's fault but the platform's.
OWN_LIMIT_WORDS = (
    "Usage of EmptyDir volume",
    "exceeded its local ephemeral storage limit",
    "exceeds the total limit of containers",
)


def own_limit(pod: PodView | None) -> str | None:
    """Give the kubelet's sentence on the limit that was exceeded; None: that is not why the pod ended."""
    if pod is None or pod.reason != "Evicted":
        return None
    message = (pod.message or "").strip()
    if not any(words in message for words in OWN_LIMIT_WORDS):
        return None
    return message.replace(f'"{OWN_PREFIX}', '"')
