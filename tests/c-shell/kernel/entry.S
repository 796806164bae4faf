# Hart 0 runs main in machine mode, hart 1 other; all others sleep.
.section .text.entry
.globl _entry
_entry:
    csrr t0, mhartid
    la sp, stack_top
    beqz t0, first
    li t1, 1
    bne t0, t1, sleep
    la sp, stack
    li t1, 0x2000
    add sp, sp, t1
    call other
first:
    call main
sleep:
    wfi
    j sleep
