"""What docs/clusters ships is what Slurm and Kubernetes take, and its commands train."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TOY
from group import free_port

DOCS = Path(__file__).parents[1] / "docs"
SCRIPT, MANIFEST = DOCS / "clusters" / "slurm.sh", DOCS / "clusters" / "kubernetes.yaml"

# The long options of the manual pages sbatch(1) and srun(1) of Slurm 22.05, which later versions still have.
SBATCH = """
account acctg-freq array batch bb bbf begin chdir clusters comment constraint container contiguous core-spec
cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency distribution error exclude exclusive
export export-file extra-node-info get-user-env gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task gres
gres-flags hint hold input job-name kill-on-invalid-dep licenses mail-type mail-user mem mem-bind mem-per-cpu
mem-per-gpu mincpus network nice no-kill no-requeue nodefile nodelist nodes ntasks ntasks-per-core ntasks-per-gpu
ntasks-per-node ntasks-per-socket open-mode output overcommit oversubscribe parsable partition prefer priority profile
propagate qos quiet reboot requeue reservation signal sockets-per-node spread-job switches test-only thread-spec
threads-per-core time time-min tmp use-min-nodes verbose wait wait-all-nodes wckey wrap
"""
SRUN = """
chdir cpu-bind cpus-per-task distribution error exact exclusive export gpu-bind gpus gpus-per-node gpus-per-task gres
input jobid kill-on-bad-exit label mem mpi multi-prog nodelist nodes ntasks ntasks-per-node open-mode output overlap
preserve-env quit-on-interrupt relative signal time unbuffered verbose wait
"""

# Of the operator's API kubeflow.org/v1: the fields and types of the models KubeflowOrgV1PyTorchJobSpec, ElasticPolicy,
# RDZVConf, RunPolicy and ReplicaSpec in the package kubeflow-training 1.9.4. A pod's template has a schema of its own.
JOB = {
    "apiVersion": "kubeflow.org/v1",
    "kind": "PyTorchJob",
    "metadata": {"name": str},
    "spec": {
        "elasticPolicy": {
            "maxReplicas": int, "maxRestarts": int, "minReplicas": int, "nProcPerNode": int,
            "rdzvBackend": {"c10d", "etcd", "etcd-v2"}, "rdzvConf": [{"key": str, "value": str}], "rdzvHost": str,
            "rdzvId": str, "rdzvPort": int, "standalone": bool,
        },
        "nprocPerNode": str,
        "pytorchReplicaSpecs": {
            kind: {"replicas": int, "restartPolicy": {"Always", "OnFailure", "Never", "ExitCode"}, "template": dict}
            for kind in ("Master", "Worker")
        },
        "runPolicy": {
            "activeDeadlineSeconds": int, "backoffLimit": int, "cleanPodPolicy": {"None", "Running", "All"},
            "managedBy": str, "schedulingPolicy": dict, "suspend": bool, "ttlSecondsAfterFinished": int,
        },
    },
}  # fmt: skip


def mistakes(found: Any, schema: Any, place: str = "") -> list[str]:
    """Return the places where a manifest has a field that the schema lacks, or another kind of value."""
    if isinstance(schema, dict) and isinstance(found, dict):
        unknown = [f"{place}.{name}" for name in found if name not in schema]
        known = [(name, value) for name, value in found.items() if name in schema]
        return unknown + [wrong for name, value in known for wrong in mistakes(value, schema[name], f"{place}.{name}")]
    if isinstance(schema, list) and isinstance(found, list):
        return [wrong for value in found for wrong in mistakes(value, schema[0], place)]
    if isinstance(schema, type):
        return [] if type(found) is schema else [place]
    return [] if (found in schema if isinstance(schema, set) else found == schema) else [place]


def options(lines: Sequence[str]) -> list[str]:
    """Return the names of the long options in a command's words."""
    return [re.split(r"[=\s]", word)[0][2:] for word in lines if word.startswith("--")]


def test_bash_reads_the_slurm_script() -> None:
    done = subprocess.run(["bash", "-n", str(SCRIPT)], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_slurm_has_every_option_of_the_script() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    asked = options([line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")])
    command = shlex.split(text[text.index("\nsrun ") :].split("torchrun")[0])
    assert {"requeue", "signal", "nodes"} <= set(asked) <= set(SBATCH.split())
    assert command[0] == "srun" and {"kill-on-bad-exit"} <= set(options(command)) <= set(SRUN.split())


@pytest.mark.skipif(shutil.which("sbatch") is None, reason="Debian's package slurm-client is not installed")
def test_sbatch_itself_reads_the_script(tmp_path: Path) -> None:
    (tmp_path / "slurm.conf").write_text(
        "ClusterName=none\nSlurmctldHost=localhost\nAuthType=auth/none\nCredType=cred/none\nGresTypes=gpu\n"
        "SlurmctldPort=1\nSlurmctldTimeout=1\nMessageTimeout=2\nNodeName=localhost\nPartitionName=all Nodes=localhost\n"
    )
    text = SCRIPT.read_text(encoding="utf-8")
    misspelt = text.replace("--requeue\n", "--requeeu\n", 1)
    for script, told in ((text, "Unable to contact slurm controller"), (misspelt, "unrecognized option")):
        done = subprocess.run(
            ["sbatch", "--test-only"], input=script, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "SLURM_CONF": str(tmp_path / "slurm.conf")},
        )  # fmt: skip
        assert told in done.stderr


def test_the_manifest_has_the_fields_of_the_operators_api() -> None:
    manifest = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    assert mistakes(manifest, JOB) == []
    assert mistakes({**manifest, "spec": {"elasticPolicy": {"maxRestart": 1, "minReplicas": "2"}}}, JOB) == [
        ".spec.elasticPolicy.maxRestart", ".spec.elasticPolicy.minReplicas",
    ]  # fmt: skip
    policy, (worker,) = manifest["spec"]["elasticPolicy"], manifest["spec"]["pytorchReplicaSpecs"].values()
    assert policy["minReplicas"] == policy["maxReplicas"] == worker["replicas"]


def test_the_manifests_pods_are_as_kubernetes_describes_them() -> None:
    from kubeflow_trainer_api.models.io_k8s_api_core_v1_pod_template_spec import IoK8sApiCoreV1PodTemplateSpec

    template = worker_of_the_manifest()["template"]
    assert IoK8sApiCoreV1PodTemplateSpec.from_dict(template).to_dict() == template  # unknown fields would be lost
    mounted = {mount["name"] for mount in container_of_the_manifest()["volumeMounts"]}
    assert mounted == {volume["name"] for volume in template["spec"]["volumes"]}
    assert container_of_the_manifest()["name"] == "pytorch"


def test_the_page_tells_of_both_and_of_every_variable() -> None:
    page = (DOCS / "clusters.md").read_text(encoding="utf-8")
    for needed in ("clusters/slurm.sh", "clusters/kubernetes.yaml", "INARCH_TIMEOUT", "--max-restarts", "--resume"):
        assert needed in page


def worker_of_the_manifest() -> dict[str, Any]:
    """Return the manifest's only kind of replica."""
    worker: dict[str, Any]
    (worker,) = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["spec"]["pytorchReplicaSpecs"].values()
    return worker


def container_of_the_manifest() -> dict[str, Any]:
    """Return the only container of its pods."""
    container: dict[str, Any]
    (container,) = worker_of_the_manifest()["template"]["spec"]["containers"]
    return container


def environment(**more: str) -> dict[str, str]:
    """Return what processes of this machine need to find the toy plugin, each other, and the commands."""
    paths = os.pathsep.join([str(TOY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    common = {"PYTHONPATH": paths, "PATH": commands, "GLOO_SOCKET_IFNAME": "lo", "PET_LOCAL_ADDR": "127.0.0.1"}
    return {**os.environ, **common, "ACCELERATE_USE_CPU": "true", "NO_COLOR": "1", **more}


STAND_INS = {
    "srun": """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
for node in 1 2; do "$@" & steps+=($!); done
trap 'kill -TERM "${steps[@]}"' TERM
code=0
for step in "${steps[@]}"; do
    wait "$step"; ended=$?
    while kill -0 "$step" 2>/dev/null; do wait "$step"; ended=$?; done
    [ "$ended" = 0 ] || code=$ended
done
exit "$code"
""",
    "scontrol": """#!/bin/bash
if [ "$1" = show ]; then echo localhost; else echo "$@" >> requeued; fi
""",
}


@pytest.mark.slow
def test_the_slurm_script_trains_is_interrupted_and_goes_on_in_the_next_job(toy_recipe: Path, tmp_path: Path) -> None:
    """Slurm's commands are stood in for by two processes of this machine; the script and what it starts are real."""
    for name, text in STAND_INS.items():
        (tmp_path / "bin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    run = tmp_path / "run"

    def job(restarts: int) -> "subprocess.Popen[str]":
        known = environment(
            SLURM_JOB_ID="17", SLURM_JOB_NUM_NODES="2", SLURM_JOB_NODELIST="n[1-2]", SLURM_CPUS_PER_TASK="1",
            SLURM_RESTART_COUNT=str(restarts), RENDEZVOUS_PORT=str(free_port()),
        )  # fmt: skip
        known["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{known['PATH']}"
        command = ["bash", str(SCRIPT), str(toy_recipe), str(run), "train.epochs=12", "train.checkpoint_every=1"]
        return subprocess.Popen(
            command, env=known, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    first = job(0)
    try:
        wait_for_checkpoints(run, first)
        first.send_signal(signal.SIGTERM)
        told = first.communicate(timeout=100)[0]
    finally:
        first.kill()
    assert first.returncode == 143 and not (run / "model").exists(), told
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"
    second = job(1)
    try:
        told = second.communicate(timeout=200)[0]
    finally:
        second.kill()
    assert second.returncode == 0 and "resuming from" in told and (run / "results.json").exists(), told


@pytest.mark.slow
def test_the_manifests_command_trains(toy_recipe: Path, tmp_path: Path) -> None:
    """Two processes have what the operator gives its pods, as its elastic.go of version 1.9 writes it."""
    container, policy = container_of_the_manifest(), yaml.safe_load(MANIFEST.read_text())["spec"]["elasticPolicy"]
    paths = {"/data/recipe.yaml": str(toy_recipe), "/runs/first": str(tmp_path / "run")}
    command = [paths.get(word, word) for word in [*container["command"], *container["args"]]]
    given = {entry["name"]: entry["value"] for entry in container["env"]} | {
        "PET_RDZV_BACKEND": policy["rdzvBackend"],
        "PET_RDZV_ENDPOINT": f"localhost:{free_port()}",
        "PET_NNODES": f"{policy['minReplicas']}:{policy['maxReplicas']}",
        "PET_MAX_RESTARTS": str(policy["maxRestarts"]),
        "PET_RDZV_CONF": ",".join(f"{entry['key']}={entry['value']}" for entry in policy["rdzvConf"]),
        "INARCH_CACHE": str(tmp_path / "cache"),
    }
    started = [
        subprocess.Popen(command, env=environment(**given), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(policy["minReplicas"])
    ]
    try:
        told = [process.communicate(timeout=200)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], "\n".join(told)
    assert (tmp_path / "run" / "results.json").exists()


def wait_for_checkpoints(run: Path, process: "subprocess.Popen[str]") -> None:
    """Wait until a run has written a checkpoint."""
    deadline = time.monotonic() + 200
    while not list((run / "checkpoints").glob("step-*")):
        assert time.monotonic() < deadline and process.poll() is None, "no checkpoint was written"
        time.sleep(0.02)
