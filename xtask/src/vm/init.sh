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
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /host
mount -t tmpfs -o size=90% none /memory
mkdir /memory/upper /memory/work
mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work none /root
mount --move /dev /root/dev
umount /sys
umount /proc
cp /guest.sh /root/run/
exec switch_root /root /bin/sh /run/guest.sh
