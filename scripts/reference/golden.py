#!/usr/bin/env python3
"""Writes crates/trainer/src/golden/resnet18.json: what PyTorch, torchvision and torch-optimizer make of the trainer's network, its
derivatives and its optimizers, on a few images. README.md beside this file says what is in it and how to run this.

    golden.py [FILE]
"""

import gzip
import importlib.metadata
import json
import pathlib
import platform
import sys
from unittest import mock

import numpy as np
import torch
import torch_optimizer
import torchvision
from torch.nn.functional import cross_entropy

sys.dont_write_bytecode = True
import draws  # noqa: E402

TRAINER = pathlib.Path(__file__).resolve().parents[2] / "crates" / "trainer" / "src"
SEED, STEPS, SWITCH = 42, 10, 5
# Double precision is slow and exact, single precision fast and in need of more images for steady batch norms.
IMAGES = {torch.float64: 4, torch.float32: 8}
PACKAGES = ["blake3", "numpy", "torch", "torch-optimizer", "torchvision"]


def batch(kind: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The first images of the embedded training set, as torchvision's `ToTensor` scales them, with their labels."""

    def read(name: str, header: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((TRAINER / "data" / "mnist" / name).read_bytes())[header:], np.uint8)

    count = IMAGES[kind]
    pixels = read("train-images-idx3-ubyte.gz", 16)[: count * 784].reshape(count, 1, 28, 28)
    labels = read("train-labels-idx1-ubyte.gz", 8)[:count]
    return torch.from_numpy(pixels.copy()).to(kind) / 255, torch.from_numpy(labels.astype(np.int64))


def network(kind: torch.dtype) -> torch.nn.Module:
    """The authors' network, at the drawn weights."""
    net = torchvision.models.resnet18(num_classes=10)
    net.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    net = net.to(kind)
    with torch.no_grad():
        for index, (name, tensor) in enumerate([*net.named_parameters(), *statistics(net)]):
            tensor.copy_(torch.from_numpy(draws.weights(index, name, tuple(tensor.shape))))
    return net


def statistics(net: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Batch norm's running means and variances; not its count of batches, which has no use here."""
    return [(name, tensor) for name, tensor in net.named_buffers() if not name.endswith("num_batches_tracked")]


class Sketches:
    """Turns tensors into their norm and their products with eight fixed sign vectors."""

    def __init__(self, largest: int) -> None:
        self.signs = torch.from_numpy(draws.sketch_signs(largest))

    def of(self, named) -> dict[str, list[float]]:
        rows = {}
        for name, tensor in named:
            flat = tensor.detach().double().flatten()
            rows[name] = [flat.norm().item(), *(self.signs[:, : flat.numel()] @ flat).tolist()]
        return rows


class Rule:
    """An optimizer of torch or torch-optimizer, with the trainer's probes in place of its own draw.

    torch_optimizer.Adahessian draws z = 2 * torch.randint_like(p, high=2, ...) - 1 for each parameter in turn, inside `step`.
    While it steps, `torch.randint_like` is replaced by a function that hands out (z + 1) / 2 of the trainer's z, in that order.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer, self.steps = optimizer, 0
        self.curved = isinstance(optimizer, torch_optimizer.Adahessian)

    def step(self, net: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.steps += 1
        self.optimizer.zero_grad(set_to_none=True)
        cross_entropy(net(images), labels).backward(create_graph=self.curved)
        if not self.curved:
            self.optimizer.step()
            return
        parameters = list(net.parameters())
        signs = iter(probe(self.steps, parameters))

        def handed(like: torch.Tensor, **_) -> torch.Tensor:
            z = next(signs)
            assert z.shape == like.shape
            return (z + 1) / 2

        with mock.patch("torch.randint_like", handed):
            self.optimizer.step()
        assert next(signs, None) is None, "the optimizer should have drawn once for each parameter"


def probe(step: int, parameters: list[torch.Tensor]) -> list[torch.Tensor]:
    signs = draws.probes(SEED, step, [tuple(p.shape) for p in parameters])
    return [torch.from_numpy(z).to(p.dtype) for z, p in zip(signs, parameters)]


def optimizer(config: dict, parameters) -> torch.optim.Optimizer:
    """What torch and torch-optimizer call the trainer's parameters."""
    kind, lr = config["optimizer"], config["lr"]
    if kind == "sgd":
        return torch.optim.SGD(parameters, lr=lr)
    if kind == "sgd_momentum":
        return torch.optim.SGD(parameters, lr=lr, momentum=config["momentum"], dampening=config["dampening"])
    betas, eps = (config["beta1"], config["beta2"]), config["eps"]
    if kind == "adam":
        return torch.optim.Adam(parameters, lr=lr, betas=betas, eps=eps)
    assert kind == "adahessian"
    power = config["hessian_power"]
    return torch_optimizer.Adahessian(parameters, lr=lr, betas=betas, eps=eps, weight_decay=0, hessian_power=power)


def phases(config: dict) -> list[tuple[dict, int]]:
    """The optimizers of a run with the steps that each takes: Hybrid switches once, to a fresh AdaHessian."""
    if config["optimizer"] != "hybrid":
        return [(config, STEPS)]
    first = config | {"optimizer": "sgd_momentum", "lr": config["lr1"]}
    return [(first, SWITCH), (config | {"optimizer": "adahessian", "lr": config["lr2"]}, STEPS - SWITCH)]


def runs() -> dict[str, dict]:
    """The runs as the trainer's configurations, in double precision alone; README.md says why."""
    betas = {"beta1": 0.9, "beta2": 0.999}
    curved = betas | {"eps": 1e-4, "hessian_power": 1.0}
    momentum = {"momentum": 0.9, "dampening": 0.0}
    return {
        "sgd": {"optimizer": "sgd", "lr": 0.01},
        "sgd_momentum": {"optimizer": "sgd_momentum", "lr": 0.005} | momentum,
        "sgd_momentum_dampened": {"optimizer": "sgd_momentum", "lr": 0.01, "momentum": 0.9, "dampening": 0.9},
        "adam": {"optimizer": "adam", "lr": 0.001} | betas | {"eps": 1e-8},
        "adahessian": {"optimizer": "adahessian", "lr": 1e-4} | curved,
        "adahessian_half_power": {"optimizer": "adahessian", "lr": 1e-4} | curved | {"hessian_power": 0.5},
        "hybrid": {"optimizer": "hybrid", "lr1": 0.005, "lr2": 1e-5, "tl": 1.0} | momentum | curved,
    }


def first_batch(kind: torch.dtype, sketches: Sketches) -> dict:
    """Forward pass, loss, gradients and Hz at the drawn weights; then the running statistics, and evaluation with them."""
    net, (images, labels) = network(kind), batch(kind)
    names, parameters = zip(*net.named_parameters())
    logits = net(images)
    loss = cross_entropy(logits, labels)
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    products = torch.autograd.grad(gradients, parameters, grad_outputs=probe(1, parameters))
    net.eval()
    with torch.no_grad():
        evaluated = net(images)
    return {
        "images": len(images),
        "logits": logits.flatten().tolist(),
        "loss": loss.item(),
        "gradients": sketches.of(zip(names, gradients)),
        "hz": sketches.of(zip(names, products)),
        "statistics": sketches.of(statistics(net)),
        "evaluated_logits": evaluated.flatten().tolist(),
    }


def run(kind: torch.dtype, config: dict, sketches: Sketches) -> dict:
    """Ten steps on the same batch: how far each parameter has moved, and the loss in evaluation mode."""
    net, (images, labels) = network(kind), batch(kind)
    start = [p.detach().clone() for p in net.parameters()]
    for phase, steps in phases(config):
        rule = Rule(optimizer(phase, net.parameters()))
        for _ in range(steps):
            rule.step(net, images, labels)
    net.eval()
    with torch.no_grad():
        loss = cross_entropy(net(images), labels).item()
    # Differences of neighbouring numbers are exact in double precision.
    moved = [(name, p.detach().double() - s.double()) for (name, p), s in zip(net.named_parameters(), start)]
    return {"config": config, "evaluated_loss": loss, "statistics": sketches.of(statistics(net)), "moved": sketches.of(moved)}


def text(value, digits: int, depth: int = 0) -> str:
    """JSON with a tensor a line; single precision needs only nine digits."""
    if isinstance(value, dict) and not any(isinstance(item, dict | list) for item in value.values()):
        return json.dumps(value)
    if isinstance(value, dict):
        pad = " " * (depth + 1)
        rows = [f"{pad}{json.dumps(key)}: {text(item, digits, depth + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + " " * depth + "}"
    if isinstance(value, list):
        return "[" + ", ".join(text(item, digits) for item in value) + "]"
    if isinstance(value, float):
        assert np.isfinite(value), "a value of the reference is not finite"
        return repr(float(f"{value:.{digits}g}"))
    return json.dumps(value)


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    net = network(torch.float64)
    named = [*net.named_parameters(), *statistics(net)]
    sketches = Sketches(max(tensor.numel() for _, tensor in named))
    versions = {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()}
    plan = {"seed": SEED, "steps": STEPS, "switch": SWITCH}
    parts = {"versions": text(versions, 17, 1), "plan": text(plan, 17, 1), "weights": text(sketches.of(named), 17, 1)}
    for name, kind, digits in [("float64", torch.float64, 17), ("float32", torch.float32, 9)]:
        values = first_batch(kind, sketches)
        # In single precision rounding grows with the steps.
        if kind == torch.float64:
            values["runs"] = {label: run(kind, config, sketches) for label, config in runs().items()}
        parts[name] = text(values, digits, 1)
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else TRAINER / "golden" / "resnet18.json"
    target.write_text("{\n" + ",\n".join(f' "{key}": {part}' for key, part in parts.items()) + "\n}\n")


if __name__ == "__main__":
    main()
