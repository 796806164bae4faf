.section .text.start
.globl start
start:
    call main
    j exit

.text
.macro call_kernel name, number
.globl \name
\name:
    li a7, \number
    ecall
    ret
.endm
call_kernel fork, 1
call_kernel exit, 2
call_kernel wait, 3
call_kernel sbrk, 4
call_kernel say, 5
