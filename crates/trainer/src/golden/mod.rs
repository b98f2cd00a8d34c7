//! Tests of parity with PyTorch, torchvision and torch-optimizer: the trainer's code, on a few
//! images, against the values in `resnet18.json`, which `scripts/reference/golden.py` wrote.
//! README.md beside that script describes what is compared.
//!
//! ```text
//! first_batch, optimizers, dead_taps -> setting (the network and its batch) -> draws
//!            \-> sketch (how far tensors are from their rows in the file) -> reference (the file), draws
//! ```

mod dead_taps;
mod draws;
mod first_batch;
mod optimizers;
mod reference;
mod setting;
mod sketch;
