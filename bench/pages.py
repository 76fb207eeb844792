"""Pages of 2 MiB on and off: the engine advises them for its batches, its state and its indexes, and takes what the kernel gives."""
import contextlib
import ctypes

PR_SET_THP_DISABLE = 41


def kernel_gives_large_pages():
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as f:
            return "[never]" not in f.read()
    except OSError:
        return False


@contextlib.contextmanager
def small_pages():
    """Processes started meanwhile, and theirs, get pages of 4 KiB only, whatever they advise."""
    libc = ctypes.CDLL(None, use_errno=True)

    def disable(yes):
        if libc.prctl(PR_SET_THP_DISABLE, yes, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_THP_DISABLE)")

    disable(1)
    try:
        yield
    finally:
        disable(0)
