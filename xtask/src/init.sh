#!/bin/busybox sh
# The first process of a test machine: mounts what tests need, runs every test program, says how
# many failed, and ends the machine.
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
$B mount -t tmpfs tmp /tmp
$B mount -t bpf bpf /sys/fs/bpf
$B mount -t debugfs debugfs /sys/kernel/debug
$B mount -t tracefs tracefs /sys/kernel/tracing
$B mount -t cgroup2 cgroup2 /sys/fs/cgroup
$B ip link set lo up
$B --install -s /bin
export PATH=/bin HOME=/ PUREBPF_REQUIRE_KERNEL=1 RUST_BACKTRACE=0
cd /work
failed=0
for test in /tests/*; do
	echo "-- ${test##*/}"
	$test --test-threads=1 --show-output || failed=$((failed + 1))
done
echo "@@EXIT $failed@@"
$B sync
$B poweroff -f
