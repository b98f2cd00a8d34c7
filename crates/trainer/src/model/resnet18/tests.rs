//! Tests of the network: its parameters, its starting weights, copies, and batch norm.

use super::*;
use crate::device::one_thread;
use crate::margins::assert_near;

fn network(seed: u64) -> ResNet18 {
    one_thread();
    ResNet18::new(seed, Kind::Float, Device::Cpu).unwrap()
}

fn find<'a>(network: &'a ResNet18, name: &str) -> &'a Tensor {
    &network.parameters()[network
        .names
        .iter()
        .position(|found| found == name)
        .unwrap()]
}

#[test]
fn parameters_have_torchvisions_names_and_number() {
    let network = network(0);
    assert_eq!(
        network
            .parameters()
            .iter()
            .map(Tensor::numel)
            .sum::<usize>(),
        11_175_370 - 6_946_816
    );
    assert_eq!(
        (network.parameters().len(), network.buffers.len()),
        (62, 40)
    );
    let shapes: Vec<String> = network
        .names
        .iter()
        .zip(network.parameters())
        .map(|(name, tensor)| format!("{name} {:?}", tensor.size()))
        .collect();
    insta::assert_snapshot!(shapes[..12].join("\n"), @r"
    conv1.weight [64, 1, 7, 7]
    bn1.weight [64]
    bn1.bias [64]
    layer1.0.conv1.weight [64, 64, 3, 3]
    layer1.0.bn1.weight [64]
    layer1.0.bn1.bias [64]
    layer1.0.conv2.weight [64, 64, 3, 3]
    layer1.0.bn2.weight [64]
    layer1.0.bn2.bias [64]
    layer1.1.conv1.weight [64, 64, 3, 3]
    layer1.1.bn1.weight [64]
    layer1.1.bn1.bias [64]
    ");
    insta::assert_snapshot!(shapes[15..21].join("\n"), @r"
    layer2.0.conv1.weight [128, 64, 3, 3]
    layer2.0.bn1.weight [128]
    layer2.0.bn1.bias [128]
    layer2.0.conv2.weight [128, 128, 3, 3]
    layer2.0.bn2.weight [128]
    layer2.0.bn2.bias [128]
    ");
    insta::assert_snapshot!(shapes[57..].join("\n"), @r"
    layer4.1.conv2.weight [512, 512, 1]
    layer4.1.bn2.weight [512]
    layer4.1.bn2.bias [512]
    fc.weight [10, 512]
    fc.bias [10]
    ");
    assert_eq!(network.buffers[39].0, "layer4.1.bn2.running_var");
}

#[test]
fn weights_start_as_torchvisions_do() {
    let network = network(1);
    for (name, fan_out) in [
        ("layer1.0.conv1", 64 * 9),
        ("layer4.1.conv2", 512 * 9),
        ("layer3.0.downsample.0", 256),
    ] {
        let weight = find(&network, &format!("{name}.weight")).detach();
        let std = weight.std(true).double_value(&[]);
        let expected = (2.0 / f64::from(fan_out)).sqrt();
        let tolerance = 4.0 / (2.0 * weight.numel() as f64).sqrt();
        assert!(
            (std / expected - 1.0).abs() < tolerance,
            "{name}: {std} instead of {expected}"
        );
        assert!(
            weight.mean(Kind::Double).double_value(&[]).abs()
                < 4.0 * expected / (weight.numel() as f64).sqrt()
        );
        assert!(
            weight.abs().max().double_value(&[]) > 3.0 * expected,
            "{name} should be normal, not uniform"
        );
    }
    for (name, bound) in [
        ("conv1.weight", 1.0 / 7.0),
        ("fc.weight", 512f64.powf(-0.5)),
        ("fc.bias", 512f64.powf(-0.5)),
    ] {
        let largest = find(&network, name).abs().max().double_value(&[]);
        assert!(
            largest <= bound * 1.000_001 && largest > 0.75 * bound,
            "{name}: {largest} within {bound}"
        );
    }
    assert!(
        find(&network, "layer2.1.bn2.weight")
            .eq(1.0)
            .all()
            .int64_value(&[])
            == 1
    );
    assert!(find(&network, "bn1.bias").eq(0.0).all().int64_value(&[]) == 1);
}

#[test]
fn the_seed_alone_decides_the_weights() {
    let [a, again, other] = [network(3), network(3), network(4)];
    let equal = |x: &ResNet18, y: &ResNet18| {
        x.parameters()
            .iter()
            .zip(y.parameters())
            .all(|(x, y)| x == y)
    };
    assert!(equal(&a, &again) && !equal(&a, &other));
    let double = ResNet18::new(3, Kind::Double, Device::Cpu).unwrap();
    assert_eq!(
        find(&double, "fc.weight").to_kind(Kind::Float),
        *find(&a, "fc.weight")
    );
}

#[test]
fn a_duplicate_shares_no_memory() {
    let original = network(5);
    let copy = original.duplicate().unwrap();
    assert_eq!(copy.parameters()[0], original.parameters()[0]);
    assert!(copy.parameters()[0].requires_grad() && !copy.buffers[0].1.requires_grad());
    let images = Tensor::ones([2, 1, 28, 28], tch::kind::FLOAT_CPU);
    let _ = original.forward(&images, Mode::Train).unwrap();
    assert_ne!(copy.buffers[0].1, original.buffers[0].1);
}

/// Both orders in memory hold the same numbers, also after copies, and give the same logits up to
/// rounding. A trial keeps one order, by its batch size.
#[test]
fn the_order_in_memory_changes_no_weight() {
    one_thread();
    let by_tap = ResNet18::new(7, Kind::Double, Device::Cpu).unwrap();
    let by_channel = by_tap.duplicate_for(Conv::BILINEAR_FROM - 1).unwrap();
    let kernel = |network: &ResNet18| find(network, "layer3.1.conv2.weight").shallow_clone();
    assert!(!kernel(&by_tap).is_contiguous() && kernel(&by_channel).is_contiguous());
    assert_eq!(kernel(&by_tap), kernel(&by_channel));
    assert_eq!(
        kernel(&by_tap.duplicate().unwrap()).stride(),
        kernel(&by_tap).stride()
    );
    assert_eq!(
        kernel(&by_channel.duplicate_for(100).unwrap()).stride(),
        kernel(&by_tap).stride()
    );
    let images = Tensor::arange(Conv::BILINEAR_FROM * 784, tch::kind::DOUBLE_CPU)
        .sin()
        .view([-1, 1, 28, 28]);
    let logits =
        [&by_tap, &by_channel].map(|network| network.forward(&images, Mode::Train).unwrap());
    assert_near(
        "logits by another order in memory",
        &logits[0],
        &logits[1],
        1e-11,
    );
}

/// The running statistics after one batch, against their definition.
#[test]
fn batch_norm_keeps_the_unbiased_variance() {
    one_thread();
    let network = ResNet18::new(6, Kind::Double, Device::Cpu).unwrap();
    let images = Tensor::arange(3 * 784, tch::kind::DOUBLE_CPU)
        .sin()
        .view([3, 1, 28, 28]);
    let maps = images.conv2d(
        find(&network, "conv1.weight"),
        None::<&Tensor>,
        [2, 2],
        [3, 3],
        [1, 1],
        1,
    );
    let logits = network.forward(&images, Mode::Train).unwrap();
    assert_eq!(logits.size(), [3, 10]);
    let axes = [0, 2, 3].as_slice();
    let mean = maps.mean_dim(axes, false, None) * 0.1;
    let var = maps.var_dim(axes, true, false) * 0.1 + 0.9;
    assert_near("running mean", &network.buffers[0].1, &mean, 1e-12);
    assert_near("running variance", &network.buffers[1].1, &var, 1e-12);
    // Evaluation changes nothing.
    let before = network.buffers[0].1.copy();
    let _ = network.forward(&images, Mode::Evaluate).unwrap();
    assert_eq!(network.buffers[0].1, before);
}
