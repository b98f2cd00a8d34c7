#!/usr/bin/env python3
"""A persistent worker written from docs/protocol.md: fits y = a x + b by gradient descent, one trial after another.

Name it in a sweep file as `worker: [python3, worker.py]`; `pentagrid worker-check -- python3 worker.py` checks it.
"""

import json
import os
import queue
import random
import sys
import threading
import time

# Messages go to a private copy of stdout; what libraries print goes to stderr, which is the worker's log.
messages = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
lock = threading.Lock()


def say(**message):
    with lock:
        messages.write(json.dumps(message) + "\n")
        messages.flush()


def read(trials):
    for line in sys.stdin:
        for trial in json.loads(line)["bundle"]:
            trials.put(trial)
    os._exit(0)  # stdin is closed: stop at once, also in the middle of a trial


def beat():
    while True:
        time.sleep(20)
        say(type="heartbeat")


def train(trial):
    name, config, draw = trial["trial"], trial["config"], random.Random(trial["seed"])
    say(type="started", trial=name)
    lr, epochs = config.get("lr", 0.1), config.get("epochs", 10)
    points = [(x / 20, 3 * x / 20 + 1 + draw.gauss(0, 0.1)) for x in range(20)]
    a = b = loss = 0.0
    for epoch in range(1, epochs + 1):
        errors = [(x, a * x + b - y) for x, y in points]
        a -= lr * 2 * sum(e * x for x, e in errors) / len(points)
        b -= lr * 2 * sum(e for _, e in errors) / len(points)
        loss = sum((a * x + b - y) ** 2 for x, y in points) / len(points)
        say(type="epoch", trial=name, epoch=epoch, values={"loss": loss})
    say(type="done", trial=name, metrics={"loss": loss})


trials = queue.Queue()
threading.Thread(target=read, args=(trials,), daemon=True).start()
threading.Thread(target=beat, daemon=True).start()
say(type="hello", protocol=1, program="worker.py", version="1", device="cpu", threads=1)
while True:
    trial = trials.get()
    try:
        train(trial)
    except Exception as error:
        say(type="failed", trial=trial["trial"], kind="error", message=repr(error))
