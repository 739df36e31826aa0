"""Progress where there is no path to the operator: it lies in the bucket instead."""

from __future__ import annotations

import socket

from mlops_operator.api.wire import TOKEN_FILE, ProgressReport, SidecarOrder
from mlops_operator.storage.layout import attempt_progress_key
from tests.e2e.agent.conftest import Pod, wait_for
from tests.e2e.versitygw import Versitygw


def test_progress_lies_in_the_bucket_while_nobody_takes_it(pod: Pod, s3: Versitygw) -> None:
    pod.write(TOKEN_FILE, "token")
    key = attempt_progress_key(pod.run)
    with socket.socket() as nobody:  # bound and not listening: every connection is refused
        nobody.bind(("127.0.0.1", 0))
        order = SidecarOrder(
            run=pod.run,
            bucket=s3.hint,
            experiment="wine",
            progress_url=f"http://127.0.0.1:{nobody.getsockname()[1]}/v1/progress",
            progress_interval_seconds=0.1,
        )

        def left() -> ProgressReport:
            path = s3.objects / key
            wait_for(path.is_file, "progress.json")
            return ProgressReport.model_validate_json(s3.open().get_bytes(key))

        pod.start_sidecar(order)
        pod.start_training()
        pod.write("/mlops/output/metrics.jsonl", '{"step": 7, "loss": 0.5}\n')
        wait_for(lambda: left().step == 7, "the step in the bucket")
        seen = left()
        assert (seen.phase, seen.metrics[0].name, seen.metrics[0].latest) == ("Running", "loss", 0.5)
        pod.end_training(3)
        pod.acknowledged()

    end = left()
    assert (end.phase, end.sequence > seen.sequence) == ("Done", True)
    assert end.training is not None
    assert (end.training.exit_code, end.training.log_tail) == (3, "epoch 2\n")
