# The guest's first process where its files are the host's and nothing else runs: makes what an init makes, then runs
# the command.

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
mkdir -p /dev/net /dev/pts /dev/shm /run/lock
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
# Opening it loads the module.
mknod /dev/net/tun c 10 200
ip link set lo up

# For the ends of a wire, if there is one.
modprobe virtio_net

# Modules come on demand from here on; Open vSwitch asks for its datapath as a user would.
. /run/command.sh
