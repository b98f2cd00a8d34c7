//! The network at the drawn weights, and the batch that both sides use.

use tch::{Device, Kind, Tensor};

use super::draws;
use super::reference::Reference;
use crate::data::{Sets, Split};
use crate::device::one_thread;
use crate::model::{ResNet18, taps};
use crate::tensors::without_grad;

/// The trainer's network, its parameters and running statistics overwritten with the drawn ones.
pub(super) fn network(kind: Kind) -> ResNet18 {
    one_thread();
    let network = ResNet18::new(0, kind, Device::Cpu).unwrap();
    let _guard = without_grad();
    for (place, (name, tensor)) in network.tensors().enumerate() {
        let drawn = drawn(place, name, &taps::full_shape(&tensor.size()));
        tensor
            .shallow_clone()
            .copy_(&taps::keep_live(drawn, &tensor.size()).unwrap());
    }
    network
}

/// The drawn tensor at that place, of that shape.
fn drawn(place: usize, name: &str, shape: &[i64]) -> Tensor {
    Tensor::from_slice(&draws::weights(place, name, shape)).view(shape)
}

/// Parameters and running statistics as the reference has them: dead taps at their drawn values.
pub(super) fn weights(network: &ResNet18) -> impl Iterator<Item = (&str, Tensor)> {
    network
        .tensors()
        .enumerate()
        .map(|(place, (name, tensor))| {
            let full = drawn(place, name, &taps::full_shape(&tensor.size())).to_kind(tensor.kind());
            (name, taps::put_live(&full, tensor))
        })
}

/// The first images of the embedded training set.
pub(super) fn batch(kind: Kind) -> Split {
    Sets::load(None, kind, Device::Cpu)
        .unwrap()
        .train
        .narrow(0, Reference::get().of(kind).images)
        .unwrap()
}

/// The names of the parameters with the given derivatives or moves, which are zero at dead taps.
pub(super) fn named<'a>(
    network: &'a ResNet18,
    tensors: &'a [Tensor],
) -> impl Iterator<Item = (&'a str, Tensor)> {
    assert_eq!(tensors.len(), network.parameters().len());
    network
        .tensors()
        .map(|(name, _)| name)
        .zip(tensors.iter().map(with_zeros))
}

/// The tensor with zeros at its dead taps.
fn with_zeros(live: &Tensor) -> Tensor {
    let zeros = Tensor::zeros(taps::full_shape(&live.size()), (live.kind(), live.device()));
    taps::put_live(&zeros, live)
}

/// The running statistics.
pub(super) fn statistics(network: &ResNet18) -> impl Iterator<Item = (&str, Tensor)> {
    network
        .tensors()
        .skip(network.parameters().len())
        .map(|(name, tensor)| (name, tensor.shallow_clone()))
}
