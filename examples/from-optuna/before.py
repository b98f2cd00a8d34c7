#!/usr/bin/env python3
"""A grid search with Optuna, as it was: one process, the seeds a loop within the objective."""

import random

import optuna

SPACE = {"lr": [0.03, 0.1, 0.3], "momentum": [0.0, 0.5, 0.9]}


def train(lr, momentum, seed, epochs=20):
    draw = random.Random(seed)
    points = [(x / 20, 3 * x / 20 + 1 + draw.gauss(0, 0.1)) for x in range(20)]
    a = b = step_a = step_b = 0.0
    for _ in range(epochs):
        errors = [(x, a * x + b - y) for x, y in points]
        step_a = momentum * step_a + 2 * sum(e * x for x, e in errors) / len(points)
        step_b = momentum * step_b + 2 * sum(e for _, e in errors) / len(points)
        a, b = a - lr * step_a, b - lr * step_b
    return sum((a * x + b - y) ** 2 for x, y in points) / len(points)


def objective(trial):
    lr = trial.suggest_categorical("lr", SPACE["lr"])
    momentum = trial.suggest_categorical("momentum", SPACE["momentum"])
    return sum(train(lr, momentum, seed) for seed in range(3)) / 3


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(direction="minimize", sampler=optuna.samplers.GridSampler(SPACE))
study.optimize(objective)
print(study.best_params, study.best_value)
