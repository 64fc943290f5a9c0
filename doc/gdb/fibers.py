"""gdb command: `source doc/gdb/fibers.py`, then `fibers` lists all fibers that wait or are ready, and
`fibers bt` adds their backtraces. For x86-64 without -DRUNG_FCONTEXT; the program needs debugging
information. Reads memory only, so that it works on a core dump, too, but for the backtraces."""

import gdb

STATES = {0: "idle", 1: "running", 2: "ready", 3: "waiting"}


def stores():
    first = gdb.parse_and_eval("'rung::detail::stack_store::first_store()::first'")
    while first:
        yield first.dereference()
        first = first["next_"]


def owned(unique_ptr, type_name):
    """What a unique_ptr points to: it is nothing but that pointer."""
    pointer = gdb.lookup_type(type_name).pointer()
    return unique_ptr.address.cast(pointer.pointer()).dereference()


def all_fibers():
    for store in stores():
        classes = store["classes_"]["_M_elems"]
        for i in range(classes.type.strip_typedefs().range()[1] + 1):
            slab = classes[i]["slabs"]
            while slab:
                slots = owned(slab["slots_"], "rung::detail::stack_slab::slot")
                for n in range(int(slab["grown_"])):
                    fiber = slots[n]["prepared"]["_M_b"]["_M_p"]
                    if fiber:
                        yield fiber.dereference()
                slab = slab["next"]
    own = gdb.parse_and_eval("'rung::detail::own_stacks::first_'")
    while own:
        yield own["lives_"].dereference()
        own = own["next_"]


def show_backtrace(fiber):
    """What switch_stack has left: r15 r14 r13 r12 rbx rbp rip."""
    word = gdb.lookup_type("unsigned long").pointer()
    saved = fiber["context_"].cast(word)
    names = ("r15", "r14", "r13", "r12", "rbx", "rbp", "rip")
    before = {r: int(gdb.parse_and_eval("(unsigned long)$" + r)) for r in names + ("rsp",)}
    gdb.newest_frame().select()
    try:
        for i, name in enumerate(names):
            gdb.execute("set $%s = %d" % (name, int(saved[i])))
        gdb.execute("set $rsp = %d" % (int(saved) + 8 * len(names)))
        gdb.execute("backtrace")
    finally:
        for name, value in before.items():
            gdb.execute("set $%s = %d" % (name, value))


class Fibers(gdb.Command):
    def __init__(self):
        super().__init__("fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for fiber in all_fibers():
            state = STATES[int(fiber["status_"]["_M_i"])]
            if state == "idle":
                continue
            name = fiber["name_"]["_M_elems"].string()
            print("%s %s '%s'" % (fiber.address, state, name))
            if argument == "bt" and state != "running":
                show_backtrace(fiber)


Fibers()
