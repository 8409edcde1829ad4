# What a user does with the package, on a machine that has nothing else, from installation to purge. $package is the file.
set -eu

passed=0
passed() {
    passed=$((passed + 1))
    echo "ok $1"
}

# The shell does not end where a command with "!" in front of it succeeds.
no() {
    if "$@"; then
        return 1
    fi
}

# The step that is not completed is the one that failed.
finish() {
    status=$?
    if [ "$status" != 0 ]; then
        echo "not ok: the step after the last \"ok\""
        systemctl --no-pager status xgre || true
        journalctl --no-pager --unit xgre || true
        ip link || true
        echo "$passed passed, 1 failed, 0 skipped"
    fi
}
trap finish EXIT

# Every file, but what dpkg itself and the system write down.
files() {
    find /etc /usr /var /opt /srv /root -xdev \
        \( -path /var/lib/dpkg -o -path /var/log -o -path /var/lib/systemd -o -path /usr/lib/modules \) -prune -o -print | sort
}

# Pings the peer, twenty at a time, until what happens meanwhile is over.
pings() {
    until [ -e /run/over ]; do
        ping -q -i 0.2 -c 20 10.9.0.2
    done
}

# Something happens, and no ping is lost by it.
without_loss() {
    what=$1
    shift
    rm -f /run/over
    pings >/run/pings &
    sleep 2
    "$@"
    touch /run/over
    wait "$!"
    grep transmitted /run/pings >/run/sums
    cat /run/sums
    no grep -q -v ' 0% packet loss' /run/sums
    passed "$what"
}

killed() {
    old=$(systemctl show --property MainPID --value xgre)
    systemctl kill --signal KILL xgre
    until [ "$(systemctl show --property MainPID --value xgre)" != "$old" ] && systemctl --quiet is-active xgre; do
        sleep 1
    done
}

files >/run/before

dpkg --install "$package"
[ "$(stat -c '%U %G %a' /etc/xgre/xgre.toml)" = 'root xgre 640' ]
no systemctl --quiet is-active xgre
no systemctl --quiet is-enabled xgre
test -e /usr/share/man/man8/xgre-tunnel-add.8.gz
xgre --version
passed "the package installs with what a bare system has, and starts nothing"

no systemctl start xgre
sleep 3
[ "$(systemctl show --property NRestarts --value xgre)" = 0 ]
systemctl show --property Result --value xgre
systemctl reset-failed xgre
passed "without uplinks the service fails once"

ip netns add peer
ip link add uplink type veth peer name eth0 netns peer
ip addr add 192.0.2.1/24 dev uplink
ip link set uplink up
ip -n peer addr add 192.0.2.2/24 dev eth0
ip -n peer link set eth0 up
ip -n peer link add gre10 type gre local 192.0.2.2 remote 192.0.2.1 key 10
ip -n peer addr add 10.9.0.2/24 dev gre10
ip -n peer link set gre10 up

# Debian's 3 asks for CAP_SYS_ADMIN; see docs/install.md.
echo 2 >/proc/sys/kernel/perf_event_paranoid
sed -i 's/^XGRE_UPLINKS=.*/XGRE_UPLINKS="uplink"/' /etc/default/xgre
cat >/etc/xgre/xgre.toml <<'END'
[[tunnel]]
name = "to-peer"
local = "192.0.2.1"
remote = "192.0.2.2"

[[tenant]]
name = "blue"
key = 10
tunnels = ["to-peer"]

[[port]]
tenant = "blue"
name = "blue0"
create = true
END
# Returns when the daemon says that it is ready.
systemctl start xgre
systemctl --quiet is-active xgre
xgre tunnel list
ip addr add 10.9.0.1/24 dev blue0
passed "the service starts, and applies its file"

ping -q -c 3 10.9.0.2
xgre stats
passed "a ping crosses the tunnel to a kernel GRE device"

without_loss "a restart loses no packet" systemctl restart xgre
without_loss "a daemon that is killed comes back, and no packet is lost" killed
without_loss "an upgrade loses no packet" dpkg --install "$package"
systemctl --quiet is-active xgre

sed -i 's/^key = .*/key = 20/' /etc/xgre/xgre.toml
systemctl reload xgre
ip -n peer link set gre10 type gre key 20
ping -q -c 3 10.9.0.2
passed "a reload goes over to the changed file"

journalctl --no-pager --unit xgre >/run/journal
cat /run/journal
no grep -i 'permission\|not permitted\|dropped instead' /run/journal
passed "nothing that the service wanted was refused"

dpkg --remove xgre
no test -e /sys/fs/bpf/xgre
no ip link show blue0
no ip link show xgre-flood
{ ip -d link show uplink; tc filter show dev uplink ingress; } >/run/uplink
cat /run/uplink
no grep -q 'xdp\|filter' /run/uplink
files | comm -3 /run/before - | tr -d '\t' >/run/left
cat /run/left
[ "$(cat /run/left)" = "/etc/default/xgre
/etc/xgre
/etc/xgre/xgre.toml" ]
passed "removal leaves no program, no device, and no file but the configuration"

dpkg --purge xgre
files | comm -3 /run/before - >/run/left
cat /run/left
no test -s /run/left
no getent group xgre
passed "purge leaves nothing"

echo "$passed passed, 0 failed, 0 skipped"
