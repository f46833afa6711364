#!/usr/bin/env bash
# Slurm on this machine alone, to try hydra/launcher=submitit_slurm: one node, one partition, memory limits kept.
#
#   apt-get install -y slurm-wlm munge        # Debian; as root, as everything here
#   scripts/slurm_single_node.sh start [folder]
#   scripts/slurm_single_node.sh stop [folder]
#
# There is no accounting (slurmdbd): `sacct` knows nothing, which a small cluster may not do either.
set -euo pipefail

action=${1:-start}
folder=${2:-/tmp/slurm_single_node}
name=$(hostname -s)
cores=$(nproc)
memory=$(awk '/MemTotal/ { print int($2 / 1024 * 0.8) }' /proc/meminfo)

write_config() {
  cat > /etc/slurm/slurm.conf <<CONFIG
ClusterName=single
SlurmctldHost=$name(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# Without cgroups: a job above its memory is killed when it is next looked at, each second.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobRequeue=1
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=1,sched_interval=2
KillWait=5
NodeName=$name NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONFIG
}

start() {
  mkdir -p "$folder/state" "$folder/spool" /run/munge /etc/slurm
  chown munge:munge /run/munge
  pgrep -x munged > /dev/null || runuser -u munge -- munged
  write_config
  slurmctld -i
  slurmd
  for _ in $(seq 30); do
    if sinfo -h -o %T 2> /dev/null | grep -q idle; then
      sinfo
      return
    fi
    sleep 1
  done
  echo "the node did not come up; see $folder/slurmctld.log and $folder/slurmd.log" >&2
  exit 1
}

stop() {
  for daemon in slurmd slurmctld; do
    [ -f "$folder/$daemon.pid" ] && kill "$(cat "$folder/$daemon.pid")" || true
  done
}

case $action in
  start | stop) "$action" ;;
  *) sed -n '2,9p' "$0" >&2; exit 2 ;;
esac
