# The guest's first process once the root is there: runs the command that the host wants, and reports.

# A configuration file of the virtual machine, by its name.
given() {
    cat "/sys/firmware/qemu_fw_cfg/by_name/opt/xgre/$1/raw"
}

# The device of the pipe to the host that has this name.
pipe() {
    for port in /sys/class/virtio-ports/*; do
        if [ "$(cat "$port/name")" = "$1" ]; then
            echo "/dev/${port##*/}"
        fi
    done
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
mount -t tmpfs tmpfs /run
mkdir -p /dev/net /dev/pts /dev/shm /run/lock
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
# Opening it loads the module.
mknod /dev/net/tun c 10 200
ip link set lo up

modules=/lib/modules/$(uname -r)
mkdir -p "$modules"
mount --bind "$(given modules)" "$modules"

if share=$(given share 2>/dev/null); then
    mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 share "$share"
fi

# For the ends of a wire, if there is one.
modprobe virtio_net

# Modules come on demand from here on; Open vSwitch asks for its datapath as a user would.
given command >/run/command.sh
sh /run/command.sh </dev/null >"$(pipe out)" 2>"$(pipe err)"
echo $? >"$(pipe status)"

# Off in a moment; the first process may not end, and files are out of reach now.
echo o >/proc/sysrq-trigger
while :; do :; done
