# Runs the command that the host wants, reports, and switches off.

# The device of the pipe to the host that has this name.
pipe() {
    for port in /sys/class/virtio-ports/*; do
        if [ "$(cat "$port/name")" = "$1" ]; then
            echo "/dev/${port##*/}"
        fi
    done
}

cat /sys/firmware/qemu_fw_cfg/by_name/opt/xgre/command/raw >/run/script.sh
sh /run/script.sh </dev/null >"$(pipe out)" 2>"$(pipe err)"
echo $? >"$(pipe status)"

# Off in a moment; the first process may not end, and files are out of reach now.
echo o >/proc/sysrq-trigger
while :; do :; done
