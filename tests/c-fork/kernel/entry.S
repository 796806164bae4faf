# From machine mode to supervisor mode; traps of processes; from one process to another.
.section .text.entry
.globl _entry
_entry:
    csrr t0, mhartid
1:  bnez t0, 1b
    la sp, stack_top
    li t0, -1
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0
    li t0, 0xffff
    csrw medeleg, t0
    la t0, trap
    csrw stvec, t0
    csrw sscratch, zero
    li t0, 0x1800
    csrc mstatus, t0
    li t0, 0x0800
    csrs mstatus, t0
    la t0, main
    csrw mepc, t0
    mret

.text
# sscratch has the registers of the process that runs, and zero while the kernel does.
.balign 4
trap:
    csrrw a0, sscratch, a0
    bnez a0, 1f
    call kernel_trap
1:  .irp number, 1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd x\number, 8*\number(a0)
    .endr
    csrrw t0, sscratch, zero
    sd t0, 80(a0)
    csrr t0, sepc
    sd t0, 0(a0)
    ld sp, 256(a0)
    call user_trap
# Goes on with the process whose registers these are.
.globl resume
resume:
    csrw sscratch, a0
    ld t0, 0(a0)
    csrw sepc, t0
    .irp number, 1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld x\number, 8*\number(a0)
    .endr
    ld a0, 80(a0)
    sret

.globl switch_context
switch_context:
    sd ra, 0(a0)
    sd sp, 8(a0)
    .irp number, 0,1,2,3,4,5,6,7,8,9,10,11
    sd s\number, 16+8*\number(a0)
    .endr
    ld ra, 0(a1)
    ld sp, 8(a1)
    .irp number, 0,1,2,3,4,5,6,7,8,9,10,11
    ld s\number, 16+8*\number(a1)
    .endr
    ret

.section .rodata
.balign 4096
.globl program, program_end
program:
    .incbin "user/program"
program_end:
