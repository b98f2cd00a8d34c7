//! The built-in task through the coordinator: real training on real MNIST images.
