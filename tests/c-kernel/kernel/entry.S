# Hart 0 runs main in machine mode; all others sleep.
.section .text.entry
.globl _entry
_entry:
    csrr t0, mhartid
    bnez t0, sleep
    la sp, stack_top
    call main
sleep:
    wfi
    j sleep
