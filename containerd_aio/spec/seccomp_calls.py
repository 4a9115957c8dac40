"""A seccomp profile for containers that are not trusted: what they need, and little of what has broken kernels.

It is a list of what is allowed, so a call that a later kernel brings is refused until it is listed here. Made from
the kernel's own tables of system calls (Linux 6.1 for x86 and the generic one, and what came up to 6.17), less

* what changes or shows the whole host, for which capabilities(7) names a capability: it is allowed where the
  container has that one. So `unshare`, `mount` and `clone` with new namespaces need CAP_SYS_ADMIN, also in a user
  namespace of the container's own making, which is where most ways out of a container begin;
* what is not divided between containers: the kernel's keyrings, and `AF_VSOCK`, which reaches the hypervisor (a
  filter cannot see it in `socketcall`, without which 32-bit programs have no network);
* what has been a way into the kernel again and again and has a fallback: `io_uring_setup`, `userfaultfd`;
* what is obsolete: `uselib`, `vm86`, `_sysctl`, and calls that no kernel has any more.

`clone3` hides its flags from a filter behind a pointer; it fails as if the kernel did not have it, and C libraries
fall back to `clone`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

_EPERM: Final = 1
_ENOSYS: Final = 38
_ALLOW: Final = "SCMP_ACT_ALLOW"

_ALLOWED: Final = """
    _llseek _newselect accept accept4 access adjtimex alarm arch_prctl arm_fadvise64_64
    arm_sync_file_range bind breakpoint brk cacheflush cachestat capget capset chdir chmod chown chown32
    clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
    clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3
    epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve
    execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir
    fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr file_getattr
    file_setattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64
    fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake
    futimesat get_robust_list get_thread_area get_tls getcpu getcwd getdents getdents64 getegid
    getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid
    getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit
    getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
    io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill
    landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link
    linkat listen listmount listxattr listxattrat llistxattr llseek lremovexattr lseek lsetxattr
    lsm_get_self_attr lsm_list_modules lsm_set_self_attr lstat lstat64 madvise map_shadow_stack
    membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap
    mmap2 modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64
    mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
    munlockall munmap name_to_handle_at nanosleep newfstatat nice open openat openat2 pause pidfd_open
    pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl
    pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2
    read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg
    remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall
    riscv_flush_icache riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
    sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
    semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list
    set_thread_area set_tid_address set_tls setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
    setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32
    setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr
    setxattrat sgetmask shmat shmctl shmdt shmget shutdown sigaction sigaltstack signal signalfd
    signalfd4 sigpending sigprocmask sigreturn sigsuspend socketcall socketpair splice ssetmask stat
    stat64 statfs statfs64 statmount statx swapcontext symlink symlinkat sync sync_file_range
    sync_file_range2 syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
    timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask
    uname unlink unlinkat uprobe uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4
    waitid waitpid write writev
"""

# By the capabilities that the kernel asks for, any one of them.
_BY_CAPABILITY: Final = (
    (
        ("CAP_SYS_ADMIN",),
        "clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount"
        " open_tree open_tree_attr pivot_root quotactl quotactl_fd setdomainname sethostname setns swapoff swapon"
        " umount umount2 unshare",
    ),
    (("CAP_SYS_ADMIN", "CAP_BPF"), "bpf"),
    (("CAP_SYS_ADMIN", "CAP_PERFMON"), "perf_event_open"),
    (("CAP_SYS_ADMIN", "CAP_SYSLOG"), "syslog"),
    (("CAP_DAC_READ_SEARCH",), "open_by_handle_at"),
    (("CAP_SYS_BOOT",), "kexec_file_load kexec_load reboot"),
    (("CAP_SYS_CHROOT",), "chroot"),
    (("CAP_SYS_MODULE",), "delete_module finit_module init_module"),
    (("CAP_SYS_NICE",), "get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node"),
    (("CAP_SYS_PACCT",), "acct"),
    (("CAP_SYS_PTRACE",), "kcmp pidfd_getfd process_madvise"),
    (("CAP_SYS_RAWIO",), "ioperm iopl"),
    (("CAP_SYS_TIME",), "clock_settime clock_settime64 settimeofday stime"),
    (("CAP_SYS_TTY_CONFIG",), "vhangup"),
)

# The kernel asks who traces whom; before 4.8 a tracer could change a call after the filter had seen it.
_TRACING: Final = "ptrace process_vm_readv process_vm_writev"

# CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET of linux/sched.h.
_NEW_NAMESPACES: Final = 0x7E020000
_AF_VSOCK: Final = 40
_FAMILY_BITS: Final = 6  # Linux 6.17 has 46 families
# PER_LINUX, PER_LINUX32, each with and without UNAME26, and the question which it is: none weakens protections.
_PERSONALITIES: Final = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)


def default_profile() -> Mapping[str, object]:
    """Return the profile, in Docker's form."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _EPERM,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        ],
        "syscalls": [
            _allowed(_ALLOWED),
            *(_allowed(names, includes={"caps": [each]}) for caps, names in _BY_CAPABILITY for each in caps),
            _allowed(_TRACING, includes={"minKernel": "4.8"}),
            _allowed(_TRACING, includes={"caps": ["CAP_SYS_PTRACE"]}, excludes={"minKernel": "4.8"}),
            *_clone(),
            *_socket(),
            *(_allowed("personality", args=[_argument(0, "EQ", each)]) for each in _PERSONALITIES),
        ],
    }


def _clone() -> Iterable[Mapping[str, object]]:
    admin = ["CAP_SYS_ADMIN"]
    plain = ("MASKED_EQ", _NEW_NAMESPACES, 0)
    yield _allowed("clone", args=[_argument(0, *plain)], excludes={"caps": admin, "arches": ["s390x"]})
    # On s390 the flags are the second argument (clone(2)).
    yield _allowed(
        "clone", args=[_argument(1, *plain)], includes={"arches": ["s390x"]}, excludes={"caps": admin}
    )
    refused = {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS}
    yield {**refused, "excludes": {"caps": admin}}


def _socket() -> Iterable[Mapping[str, object]]:
    # The kernel takes an int and a filter sees 64 bits: 40 with any of the upper ones set is AF_VSOCK, too, and not
    # equal to 40. So each of the six bits of a family allows those that differ from 40 in it.
    for bit in (1 << number for number in range(_FAMILY_BITS)):
        mask = 0xFFFFFFFF & -(1 << _FAMILY_BITS) | bit
        yield _allowed("socket", args=[_argument(0, "MASKED_EQ", mask, ~_AF_VSOCK & bit)])


def _allowed(names: str, **conditions: object) -> Mapping[str, object]:
    return {"names": names.split(), "action": _ALLOW, **conditions}


def _argument(index: int, comparison: str, value: int, second: int = 0) -> Mapping[str, object]:
    return {"index": index, "value": value, "valueTwo": second, "op": f"SCMP_CMP_{comparison}"}
