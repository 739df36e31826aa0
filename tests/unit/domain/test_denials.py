"""What is read from the API server's refusals, in its own words (Kubernetes 1.34)."""

from __future__ import annotations

import pytest

from mlops_operator.domain.denials import read

HEAD = 'pods "wine-1-" is forbidden: '
CASES = [
    (
        HEAD + "exceeded quota: compute, requested: limits.cpu=3,requests.cpu=600m, "
        "used: limits.cpu=1,requests.cpu=1900m, limited: limits.cpu=4,requests.cpu=2",
        "QuotaExceeded",
        [
            "requests.cpu: requested 600m, used 1900m, hard 2",
            "as soon as enough is free",
            "describe quota compute",
        ],
    ),
    (
        HEAD + "exceeded quota: compute, requested: requests.memory=4Gi, used: requests.memory=0, "
        "limited: requests.memory=1Gi",
        "QuotaExceeded",
        [
            "requests.memory: requested 4Gi, used 0, hard 1Gi",
            "more requests.memory than the whole quota",
            "new run",
        ],
    ),
    (
        (
            'jobs.batch "wine-1" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, '
            "used: count/jobs.batch=2, limited: count/jobs.batch=2"
        ),
        "QuotaExceeded",
        ["count/jobs.batch: requested 1, used 2, hard 2"],
    ),
    (
        HEAD + "status unknown for quota: compute, resources: requests.cpu",
        "QuotaExceeded",
        ["status unknown for quota: compute"],
    ),
    (HEAD + "exceeded quota, in words of a later version", "QuotaExceeded", ["in words of a later version"]),
    (
        HEAD + "failed quota: compute: must specify limits.cpu for: train; limits.memory for: train",
        "QuotaExceeded",
        ["leaves out limits.cpu for: train; limits.memory for: train", "spec.resources"],
    ),
    (
        HEAD + "maximum memory usage per Container is 256Mi, but limit is 512Mi",
        "QuotaExceeded",
        ["LimitRange", "maximum memory usage per Container is 256Mi, but limit is 512Mi"],
    ),
    (
        HEAD + "[maximum cpu usage per Container is 500m, but limit is 1, "
        "minimum memory usage per Pod is 1Gi, but request is 192Mi]",
        "QuotaExceeded",
        [
            (
                "maximum cpu usage per Container is 500m, but limit is 1; "
                "minimum memory usage per Pod is 1Gi, but request is 192Mi"
            )
        ],
    ),
    (
        HEAD + "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000",
        "QuotaExceeded",
        ["cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"],
    ),
    (
        (
            'pods is forbidden: User "system:serviceaccount:mlops-system:mlops-operator" cannot create resource "pods" '
            'in API group "" in the namespace "ws-a"'
        ),
        "NotPermitted",
        ["may not create pods in namespace ws-a", "kubectl -n ws-a apply -f"],
    ),
    (
        HEAD + "no PriorityClass with name urgent was found",
        "PodRefused",
        ["no PriorityClass with name urgent"],
    ),
    (
        HEAD + 'error looking up service account ws-a/trainer: serviceaccount "trainer" not found',
        "PodRefused",
        ['serviceaccount "trainer" not found'],
    ),
    (
        'admission webhook "validate.example.org" denied the request: images come from our registry alone',
        "PodRefused",
        ["images come from our registry alone"],
    ),
    ("", "PodRefused", []),
]


@pytest.mark.parametrize(("said", "reason", "told"), CASES)
def test_refusals(said: str, reason: str, told: list[str]) -> None:
    denial = read(said, "ws-a")
    assert denial.reason == reason
    for text in told:
        assert text in denial.message
