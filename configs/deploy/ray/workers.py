#!/usr/bin/env python3
"""Start `capfilt worker` on each GPU of a Ray cluster, keep them going, and end when the job does.

The coordinator runs elsewhere (README.md). Ray only places the workers: no data passes through it. A worker that dies,
or whose node does, is started again wherever there is room; more workers than there are GPUs wait for new nodes.
Every node needs `capfilt` on its PATH. Variables of the bucket and of NATS are handed on from here.

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

# Handed to the workers as an argument of their task: a runtime environment would show its values in Ray's dashboard.
HANDED_ON = ("NATS_", "AWS_", "GOOGLE_", "AZURE_", "CAPFILT_")
FINISHED, FINISHED_WITH_QUARANTINE, USAGE = 0, 1, 2
# Seconds between two looks at what is waited for; a stop is noticed in between.
LOOK_EVERY = 0.2
# CPUs of a worker with a GPU, where the nodes have as many for each GPU.
CPUS_BESIDE_GPU = 4


class WorkerEnded(Exception):
    """A worker ended before the job did: killed, or its surroundings are broken."""


def go_with_parent():
    """In a new process: SIGTERM when its parent dies, so that no worker outlives the Ray process that holds its GPU."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def work(number, command, variables):
    """Run one worker until the job is over, on the GPU that Ray has chosen (CUDA_VISIBLE_DEVICES)."""
    # Ray cancels a task by Python's handler of SIGINT, which a node that was started in the background lacks.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    worker = subprocess.Popen(command, env={**os.environ, **variables}, preexec_fn=go_with_parent)
    try:
        # Ray interrupts Python code, but no system call: a plain wait() would end with the worker alone.
        while (code := worker.poll()) is None:
            time.sleep(LOOK_EVERY)
    finally:
        # Cancelled, or Ray wants the GPU back: the worker hands back its shards before it goes.
        worker.terminate()
        worker.wait()
    if code == USAGE:
        return code
    if code not in (FINISHED, FINISHED_WITH_QUARANTINE):
        print(f"capfilt: worker {number} ended with {code}; it is started again", flush=True)
        raise WorkerEnded(f"worker {number} ended with {code}")
    return code


def start(args):
    """Start all workers as Ray tasks; each gets `attempts` more tries, wherever there is room."""
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
        # Ray counts CPUs and keeps no process to its share; the program would take every core of the node.
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
    """CPUs for one worker that every node can give: all of the smallest node for a CPU worker, at most 4 beside a GPU."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if device == "cpu":
        return max(1, min(node.get("CPU", 0) for node in nodes))
    shares = [node.get("CPU", 0) // node["GPU"] for node in nodes if node.get("GPU", 0) >= 1]
    return max(1, min([CPUS_BESIDE_GPU, *shares]))


def wait(workers):
    """Return the workers' exit codes when all have ended, or raise when one was given up. Ctrl-C ends the wait."""
    codes, running = [], workers
    while running:
        ended, running = ray.wait(running, num_returns=1, timeout=LOOK_EVERY)
        codes += ray.get(ended)
    return codes


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--job", required=True, help="URL of the job")
    p.add_argument("--cluster", required=True, help="where NATS is: nats://host:4222")
    p.add_argument("--address", default="auto", help="of the Ray cluster")
    p.add_argument(
        "--device",
        choices=["cuda", "cpu", "auto"],
        default="cuda",
        help="cpu takes no GPU of Ray's; auto takes one and does without where it is none",
    )
    p.add_argument(
        "--num-workers",
        type=int,
        help="[default: one per GPU that Ray has now; with --device cpu as many as it has CPUs for]",
    )
    p.add_argument(
        "--cpus",
        type=float,
        help="of each worker [default: up to 4 beside a GPU; with --device cpu all of the smallest node]",
    )
    p.add_argument(
        "--grace",
        type=int,
        default=10,
        help="seconds in which a worker that is told to go may finish a shard",
    )
    p.add_argument(
        "--attempts", type=int, default=20, help="how often one worker is started again; -1 for ever"
    )
    p.add_argument("--capfilt", default="capfilt", help="the program on every node")
    args = p.parse_args()

    # A scheduler's SIGTERM is what Ctrl-C is in a terminal. Ray puts a handler of its own in its place.
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
        sys.exit("workers.py: this Ray cluster has no GPU; for its CPUs say --device cpu")
    workers = start(args)
    try:
        codes = wait(workers)
    except KeyboardInterrupt:
        for worker in workers:
            ray.cancel(worker)
        ray.wait(workers, num_returns=len(workers), timeout=60)
        sys.exit(130)
    except (ray.exceptions.RayTaskError, ray.exceptions.WorkerCrashedError) as error:
        sys.exit(f"workers.py: a worker was given up after {args.attempts} more tries: {error}")
    print(f"capfilt: the job is over; {len(codes)} workers ended", flush=True)
    sys.exit(max(codes))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
