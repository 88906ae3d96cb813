#!/bin/busybox sh
# The first process of a test machine: mounts what tests need, inserts modules, does the job, says
# how much of it failed, and ends the machine.
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
failed=0
for module in $(cat /modules/order); do
	insmod "/modules/$module" || failed=$((failed + 1))
done
cd /work
. /job
echo "@@EXIT $failed@@"
sync
poweroff -f
