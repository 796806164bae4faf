# Every hart runs main in machine mode, on a stack of its own, with its number in tp.
.section .text.entry
.globl _entry
_entry:
    csrr tp, mhartid
    la sp, stack_top
    slli t0, tp, 14
    sub sp, sp, t0
    mv a0, tp
    call main
