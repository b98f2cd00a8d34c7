"""Eager PyTorch on the built-in task, one trial after the other: what packing is measured against.

    gpu_eager.py DEVICE OPTIMIZER EPOCHS IMAGES REPEATS THREADS TF32

The network is torchvision's ResNet18 with the paper's first layer, spelled out so that torchvision is not needed; the optimizers are
torch's own, AdaHessian is torch_optimizer's rule. Images are random, since time does not depend on them; they lie on the device, batches
are slices, nothing waits for the device within an epoch, and the gradients' norms are not computed: all in PyTorch's favour.
"""

import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.downsample = None if same else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return F.relu(y, inplace=True)


def network():
    blocks, inputs = [], 64
    for layer, outputs in enumerate([64, 128, 256, 512]):
        for index in range(2):
            blocks.append(Block(inputs, outputs, 2 if layer > 0 and index == 0 else 1))
            inputs = outputs
    stem = [nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


class Adahessian:
    """torch_optimizer.Adahessian without weight decay, Hessian power 1."""

    def __init__(self, parameters, lr, betas=(0.9, 0.999), eps=1e-4):
        self.parameters, self.lr, self.betas, self.eps, self.steps = list(parameters), lr, betas, eps, 0
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]

    def step(self, loss):
        gradients = torch.autograd.grad(loss, self.parameters, create_graph=True)
        signs = [torch.randint_like(p, 2) * 2 - 1 for p in self.parameters]
        products = torch.autograd.grad(gradients, self.parameters, grad_outputs=signs)
        self.steps += 1
        beta1, beta2 = self.betas
        bias1, bias2 = 1 - beta1**self.steps, 1 - beta2**self.steps
        with torch.no_grad():
            for p, g, d, m, v in zip(self.parameters, gradients, products, self.first, self.second):
                d = d.abs().mean([2, 3], keepdim=True) if d.dim() == 4 else d.abs()
                m.mul_(beta1).add_(g, alpha=1 - beta1)
                v.mul_(beta2).addcmul_(d, d, value=1 - beta2)
                p.addcdiv_(m, (v.sqrt() / bias2**0.5).add_(self.eps), value=-self.lr / bias1)


def main():
    device, optimizer, epochs, images, repeats, threads, tf32 = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:8])
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = bool(tf32)
    torch.manual_seed(0)
    train, val, test = ((torch.rand(n, 1, 28, 28, device=device), torch.randint(10, (n,), device=device)) for n in (images, 200, 200))
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None

    def score(net, data):
        with torch.no_grad():
            loss, right = 0.0, 0
            for start in range(0, len(data[1]), 200):
                logits, labels = net(data[0][start : start + 200]), data[1][start : start + 200]
                loss = loss + F.cross_entropy(logits, labels, reduction="sum")
                right = right + (logits.argmax(1) == labels).sum()
        return loss, right

    def trial(epochs):
        net = network().to(device)
        rule = {
            "sgd": lambda p: torch.optim.SGD(p, 0.01),
            "sgd_momentum": lambda p: torch.optim.SGD(p, 0.005, momentum=0.9),
            "adam": lambda p: torch.optim.Adam(p, 0.001),
            "adahessian": lambda p: Adahessian(p, 0.01),
            "hybrid": lambda p: torch.optim.SGD(p, 0.005, momentum=0.9),
        }[optimizer](net.parameters())
        for epoch in range(epochs):
            if optimizer == "hybrid" and epoch == 1:
                rule = Adahessian(net.parameters(), 0.01)
            net.train()
            for start in range(0, images, 100):
                loss = F.cross_entropy(net(train[0][start : start + 100]), train[1][start : start + 100])
                if isinstance(rule, Adahessian):
                    rule.step(loss)
                else:
                    rule.zero_grad()
                    loss.backward()
                    rule.step()
            net.eval()
            [value.item() for set_ in (train, val) for value in score(net, set_)]
        score(net, test)
        synchronize()

    trial(min(2, epochs))
    seconds = []
    for _ in range(repeats):
        synchronize()
        began = time.monotonic()
        trial(epochs)
        seconds.append(time.monotonic() - began)
    print(json.dumps({"seconds_per_trial": min(seconds), "torch": torch.__version__}))


main()
