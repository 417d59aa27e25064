// Required by a process, it is gone before it does anything: as one that the system ends for want of memory.
process.kill(process.pid, 'SIGKILL');
