#!/usr/bin/env python3
"""Start `capfilt worker` on each GPU of a Ray cluster, restart failed workers, and end with the job.

The coordinator runs outside of Ray (README.md). Ray only places the workers; no data passes through Ray. A
worker that dies, or loses its node, is started again on any node with room. If there are more workers than
GPUs, the remaining workers wait for new nodes. Every node needs `capfilt` on its PATH. This script passes the
variables of the bucket and of NATS to the workers.

usage: workers.py --job URL --cluster nats://host:4222 [--num-workers N] [--device cpu] [--attempts N]
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time

import ray

# Prefixes of the variables that workers receive. They are an argument of the task, because Ray's dashboard
# shows the values of a runtime environment.
HANDED_ON = ("NATS_", "AWS_", "GOOGLE_", "AZURE_", "CAPFILT_")
FINISHED, FINISHED_WITH_QUARANTINE, USAGE = 0, 1, 2
# Seconds between two checks of a waiting loop; between the checks the loop can be stopped.
CHECK_EVERY = 0.2
# CPUs of a worker with a GPU, if the nodes have at least this number per GPU.
CPUS_BESIDE_GPU = 4


class WorkerEnded(Exception):
    """Early end of a worker: it was killed, or its environment failed."""


def end_with_parent():
    """Request SIGTERM when the parent dies, so that no worker outlives the Ray process that holds its GPU.

    Called in the new process.
    """
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def work(number, command, variables):
    """Run one worker until the job has ended, on the GPU that Ray has chosen (CUDA_VISIBLE_DEVICES)."""
    # Ray cancels a task through Python's handler of SIGINT, which is missing on a node that runs in the
    # background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    worker = subprocess.Popen(command, env={**os.environ, **variables}, preexec_fn=end_with_parent)
    try:
        # Ray interrupts Python code but not system calls: a plain wait() could not be cancelled.
        while (code := worker.poll()) is None:
            time.sleep(CHECK_EVERY)
    finally:
        # The task was cancelled, or Ray reclaims the GPU: the worker returns its shards before it ends.
        worker.terminate()
        worker.wait()
    if code == USAGE:
        return code
    if code not in (FINISHED, FINISHED_WITH_QUARANTINE):
        print(f"capfilt: worker {number} ended with {code}; it is started again", flush=True)
        raise WorkerEnded(f"worker {number} ended with {code}")
    return code


def start(args):
    """Start all workers as Ray tasks; each is restarted at most `attempts` times, on any node with room."""
    command = [
        args.capfilt,
        "worker",
        "--job",
        args.job,
        "--cluster",
        args.cluster,
        "--device",
        args.device,
        "--grace",
        str(args.grace),
    ]
    if args.device == "cpu":
        # Ray counts CPUs but does not limit a process to its share; without these options a worker uses all
        # cores.
        threads = str(max(1, int(args.cpus)))
        command += ["--model-threads", threads, "--decode-threads", threads]
    variables = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
    needs = {"num_cpus": args.cpus, "num_gpus": 0 if args.device == "cpu" else 1}
    task = ray.remote(**needs, max_retries=args.attempts, retry_exceptions=[WorkerEnded])(work)
    return [
        task.options(name=f"capfilt-worker-{n}").remote(n, command, variables)
        for n in range(args.num_workers)
    ]


def default_cpus(device):
    """Return the CPUs of one worker that every node can provide.

    For a CPU worker: all CPUs of the smallest node; with a GPU: at most `CPUS_BESIDE_GPU`.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if device == "cpu":
        return max(1, min(node.get("CPU", 0) for node in nodes))
    shares = [node.get("CPU", 0) // node["GPU"] for node in nodes if node.get("GPU", 0) >= 1]
    return max(1, min([CPUS_BESIDE_GPU, *shares]))


def wait(workers):
    """Return the workers' exit codes when all have ended; raise when a worker failed finally."""
    codes, running = [], workers
    while running:
        ended, running = ray.wait(running, num_returns=1, timeout=CHECK_EVERY)
        codes += ray.get(ended)
    return codes


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--job", required=True, help="URL of the job")
    p.add_argument("--cluster", required=True, help="URL of NATS: nats://host:4222")
    p.add_argument("--address", default="auto", help="address of the Ray cluster")
    p.add_argument(
        "--device",
        choices=["cuda", "cpu", "auto"],
        default="cuda",
        help="cpu: no GPU of Ray; auto: a GPU of Ray, or the CPU if the GPU does not exist",
    )
    p.add_argument(
        "--num-workers",
        type=int,
        help="number of workers [default: the number of Ray's GPUs; with --device cpu: its CPUs / --cpus]",
    )
    p.add_argument(
        "--cpus",
        type=float,
        help="CPUs per worker [default: up to 4 with a GPU; with --device cpu: all of the smallest node]",
    )
    p.add_argument(
        "--grace",
        type=int,
        default=10,
        help="seconds after SIGTERM in which a worker may finish a shard",
    )
    p.add_argument("--attempts", type=int, default=20, help="restarts per worker; -1: no limit")
    p.add_argument("--capfilt", default="capfilt", help="path of the program on every node")
    args = p.parse_args()

    # SIGTERM of a scheduler acts like Ctrl-C. It is set twice, because ray.init replaces the handler.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ray.init(address=args.address)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if args.cpus is None:
        args.cpus = default_cpus(args.device)
    if args.num_workers is None and args.device == "cpu":
        args.num_workers = int(ray.cluster_resources().get("CPU", 0) // args.cpus)
    if args.num_workers is None:
        args.num_workers = int(ray.cluster_resources().get("GPU", 0))
    if args.num_workers < 1:
        sys.exit("workers.py: this Ray cluster has no GPU; use its CPUs with --device cpu")
    workers = start(args)
    try:
        codes = wait(workers)
    except KeyboardInterrupt:
        for worker in workers:
            ray.cancel(worker)
        ray.wait(workers, num_returns=len(workers), timeout=60)
        sys.exit(130)
    except (ray.exceptions.RayTaskError, ray.exceptions.WorkerCrashedError) as error:
        sys.exit(f"workers.py: a worker failed finally after {args.attempts} restarts: {error}")
    print(f"capfilt: the job has ended; {len(codes)} workers ended", flush=True)
    sys.exit(max(codes))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
