//! The network: its layers (`layers`), how they make up ResNet18 (`resnet18`), where its first weights come from
//! (`init`), which taps of its kernels are trained (`taps`). The parameters are plain named tensors of our own, so that they can be loaded, sliced, packed and copied.

mod init;
mod layers;
mod resnet18;
pub mod taps;

pub use layers::Mode;
pub use resnet18::ResNet18;
