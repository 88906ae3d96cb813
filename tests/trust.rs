//! Pins that another user could have put there are refused where the loader is told so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

#[path = "../handles/tests/common/mod.rs"]
mod common;
mod support;

use std::error::Error as _;
use std::fs::{Permissions, create_dir, set_permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use purebpf::light::{LightLoader, LightOptions};
use purebpf::{Loader, Map, Object, RunningKernel, light};

fn set_mode(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn pins_that_others_could_have_put_there_are_refused_on_request() {
    if !common::root() {
        return;
    }
    // Mounted without a mode it is open to all.
    let bpffs = common::FileSystem::mount("bpf");
    let mut spec = support::open("minimal.bpf.o");
    spec.map_mut("counts").unwrap().pin_by_name = true;
    let any = Loader::new().pin_root(bpffs.path(""));
    let trusting = any.clone().trusted_pins(true);
    let refusal = |loader: &Loader| {
        let error = loader.load(&spec).unwrap_err();
        assert_eq!(error.to_string(), "map `counts`: trusting its pin");
        error.source().unwrap().to_string()
    };
    assert!(refusal(&trusting).contains("a directory of mode 1777"));
    any.load(&spec).unwrap();
    let pin = bpffs.path("counts");
    assert!(refusal(&trusting).contains("a directory of mode 1777"));

    set_mode(&bpffs.path(""), 0o700);
    let object = trusting.load(&spec).unwrap();
    let (there, used) = (Map::from_pin(&pin).unwrap(), object.map("counts").unwrap());
    assert_eq!(there.id(), used.id());

    chown(&pin, Some(1234), None).unwrap();
    assert!(refusal(&trusting).contains("it belongs to user 1234"));
    chown(&pin, Some(0), None).unwrap();

    let folder = bpffs.path("linked");
    create_dir(&folder).unwrap();
    symlink(&pin, folder.join("counts")).unwrap();
    let linked = any.clone().pin_root(&folder);
    assert!(refusal(&linked.clone().trusted_pins(true)).contains("a symbolic link"));
    linked.load(&spec).unwrap();

    // What the object is pinned to by hand counts as well.
    assert_is_pinned_in_trusted_folders_only(&object, &bpffs);
}

/// That an object is not pinned where anybody could change the pins.
fn assert_is_pinned_in_trusted_folders_only(object: &Object, bpffs: &common::FileSystem) {
    let open = bpffs.path("open");
    create_dir(&open).unwrap();
    set_mode(&open, 0o777);
    let error = object.pin(&open).unwrap_err();
    assert!(
        error.to_string().contains("a directory of mode 777"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(&open).unwrap().count(), 0);
    object.pin(bpffs.path("ours")).unwrap();
}

#[test]
fn an_object_of_a_loader_program_is_pinned_in_trusted_folders_on_request() {
    if !common::root() || support::older_than(5, 14) {
        return;
    }
    let bpffs = common::FileSystem::mount("bpf");
    set_mode(&bpffs.path(""), 0o700);
    let spec = support::open("minimal.bpf.o");
    let loader = LightLoader::generate(&spec, &RunningKernel::get()).unwrap();
    let any = LightOptions::new();
    let trusting = any.clone().trusted_pins(true);
    let object = light::run(&loader, &trusting).unwrap();
    assert_is_pinned_in_trusted_folders_only(&object, &bpffs);
    let object = light::run(&loader, &any).unwrap();
    object.pin(bpffs.path("open")).unwrap();
}
