#!/bin/busybox sh
# The guest's first process: makes the host's files the root, writable in memory, and goes there.
set -e
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in /modules/*.ko; do
    insmod "$module"
done

# A folder of the host: its name for QEMU, where to, and how.
shared() {
    mkdir -p "$2"
    mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2"
}

# A configuration file of the virtual machine, by its name.
given() {
    cat "/sys/firmware/qemu_fw_cfg/by_name/opt/xgre/$1/raw"
}

shared host /host ro,cache=loose
mount -t tmpfs -o size=90% none /memory
mkdir /memory/upper /memory/work
mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work none /root
shared modules "/root/lib/modules/$(uname -r)" ro,cache=loose
if share=$(given share 2>/dev/null); then
    shared share "/root$share" rw
fi
mount -t tmpfs tmpfs /root/run
cp /guest.sh /command.sh /root/run/
init=$(given init)
mount --move /dev /root/dev
umount /sys
umount /proc
exec switch_root /root $init
