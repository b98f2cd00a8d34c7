//! The network: its layers (`layers`), the order of their maps (`maps`), small convolutions
//! (`bilinear`), pooling (`pool`), how they form ResNet18 (`resnet18`), where its starting weights
//! come from (`init`), which taps of its kernels are trained (`taps`). The parameters are plain
//! named tensors, so that they can be sliced, packed and copied.

mod bilinear;
mod init;
mod layers;
mod maps;
mod pool;
mod resnet18;
pub(crate) mod taps;
#[cfg(test)]
mod testing;

pub(crate) use layers::Mode;
pub(crate) use resnet18::ResNet18;
