//go:build !purego

#include "textflag.h"

// Constants of the exponential: exp(x) = 2^i · exp(r), i = round(x·log2 e),
// r = x − i·ln 2 with ln 2 in two parts, exp(r) = 1 + r + r²·P(r) with the polynomial of
// Cephes' expf (relative error below 2e-7 on |r| ≤ ln 2 / 2).
DATA exps<>+0(SB)/4, $1.44269504088896341
DATA exps<>+4(SB)/4, $0.693359375
DATA exps<>+8(SB)/4, $-2.12194440e-4
DATA exps<>+12(SB)/4, $1.9875691500e-4
DATA exps<>+16(SB)/4, $1.3981999507e-3
DATA exps<>+20(SB)/4, $8.3334519073e-3
DATA exps<>+24(SB)/4, $4.1665795894e-2
DATA exps<>+28(SB)/4, $1.6666665459e-1
DATA exps<>+32(SB)/4, $5.0000001201e-1
DATA exps<>+36(SB)/4, $1.0
DATA exps<>+40(SB)/4, $-80.0
DATA exps<>+44(SB)/4, $80.0
DATA exps<>+48(SB)/4, $-1.702
GLOBL exps<>(SB), RODATA|NOPTR, $52

// EXP_SETUP fills Y6 to Y15 with the constants.
#define EXP_SETUP \
	VBROADCASTSS exps<>+0(SB), Y15  \
	VBROADCASTSS exps<>+4(SB), Y14  \
	VBROADCASTSS exps<>+8(SB), Y13  \
	VBROADCASTSS exps<>+12(SB), Y12 \
	VBROADCASTSS exps<>+16(SB), Y11 \
	VBROADCASTSS exps<>+20(SB), Y10 \
	VBROADCASTSS exps<>+24(SB), Y9  \
	VBROADCASTSS exps<>+28(SB), Y8  \
	VBROADCASTSS exps<>+32(SB), Y7  \
	VBROADCASTSS exps<>+36(SB), Y6

// EXP replaces Y0, between −80 and 80, by its exponential; Y1, Y2 and Y3 are scratch.
#define EXP \
	VMULPS Y15, Y0, Y1       \
	VROUNDPS $8, Y1, Y1      \
	VFNMADD231PS Y14, Y1, Y0 \
	VFNMADD231PS Y13, Y1, Y0 \
	VMOVAPS Y12, Y2          \
	VFMADD213PS Y11, Y0, Y2  \
	VFMADD213PS Y10, Y0, Y2  \
	VFMADD213PS Y9, Y0, Y2   \
	VFMADD213PS Y8, Y0, Y2   \
	VFMADD213PS Y7, Y0, Y2   \
	VMULPS Y0, Y0, Y3        \
	VFMADD213PS Y0, Y3, Y2   \
	VADDPS Y6, Y2, Y2        \
	VCVTPS2DQ Y1, Y1         \
	VPSLLD $23, Y1, Y1       \
	VPADDD Y1, Y2, Y0

// SUM leaves the sum of the lanes of y in all lanes of its low half x; tx is scratch.
#define SUM(y, x, tx) \
	VEXTRACTF128 $1, y, tx \
	VADDPS tx, x, x        \
	VHADDPS x, x, x        \
	VHADDPS x, x, x

// func addRow(dst, src *float32, n int)
TEXT ·addRow(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX

loop:
	VMOVUPS (DI), Y0
	VADDPS (SI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ  loop
	VZEROUPPER
	RET

// func mulRow(dst, src *float32, n int)
TEXT ·mulRow(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX

loop:
	VMOVUPS (DI), Y0
	VMULPS (SI), Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ  loop
	VZEROUPPER
	RET

// func standardise(dst, src *float32, n int, eps, inv float32) (rstd float32)
TEXT ·standardise(SB), NOSPLIT, $0-36
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SHLQ $2, CX
	VXORPS Y0, Y0, Y0
	XORQ AX, AX

sum:
	VADDPS (SI)(AX*1), Y0, Y0
	ADDQ $32, AX
	CMPQ AX, CX
	JLT  sum
	SUM(Y0, X0, X1)
	VMULSS inv+28(FP), X0, X0
	VBROADCASTSS X0, Y0 // mean
	VXORPS Y1, Y1, Y1
	XORQ AX, AX

squares:
	VMOVUPS (SI)(AX*1), Y2
	VSUBPS Y0, Y2, Y2
	VFMADD231PS Y2, Y2, Y1
	ADDQ $32, AX
	CMPQ AX, CX
	JLT  squares
	SUM(Y1, X1, X2)
	VMULSS inv+28(FP), X1, X1
	VADDSS eps+24(FP), X1, X1
	VSQRTSS X1, X1, X1
	VMOVSS exps<>+36(SB), X2
	VDIVSS X1, X2, X1
	VMOVSS X1, rstd+32(FP)
	VBROADCASTSS X1, Y1
	XORQ AX, AX

scale:
	VMOVUPS (SI)(AX*1), Y2
	VSUBPS Y0, Y2, Y2
	VMULPS Y1, Y2, Y2
	VMOVUPS Y2, (DI)(AX*1)
	ADDQ $32, AX
	CMPQ AX, CX
	JLT  scale
	VZEROUPPER
	RET

// func standardiseBack(dx, dy, y *float32, n int, rstd, inv float32)
TEXT ·standardiseBack(SB), NOSPLIT, $0-40
	MOVQ dx+0(FP), DI
	MOVQ dy+8(FP), SI
	MOVQ y+16(FP), DX
	MOVQ n+24(FP), CX
	SHLQ $2, CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	XORQ AX, AX

sums:
	VMOVUPS (SI)(AX*1), Y2
	VADDPS Y2, Y0, Y0
	VFMADD231PS (DX)(AX*1), Y2, Y1
	ADDQ $32, AX
	CMPQ AX, CX
	JLT  sums
	SUM(Y0, X0, X2)
	SUM(Y1, X1, X2)
	VMULSS inv+36(FP), X0, X0
	VMULSS inv+36(FP), X1, X1
	VBROADCASTSS X0, Y0
	VBROADCASTSS X1, Y1
	VBROADCASTSS rstd+32(FP), Y5
	XORQ AX, AX

update:
	VMOVUPS (SI)(AX*1), Y2
	VSUBPS Y0, Y2, Y2
	VFNMADD231PS (DX)(AX*1), Y1, Y2
	VMOVUPS (DI)(AX*1), Y3
	VFMADD231PS Y5, Y2, Y3
	VMOVUPS Y3, (DI)(AX*1)
	ADDQ $32, AX
	CMPQ AX, CX
	JLT  update
	VZEROUPPER
	RET

// func softmax(x *float32, rows, n int, ld uintptr)
TEXT ·softmax(SB), NOSPLIT, $0-32
	MOVQ x+0(FP), SI
	MOVQ rows+8(FP), BX
	MOVQ n+16(FP), CX
	MOVQ ld+24(FP), DX
	SHLQ $2, CX
	EXP_SETUP

row:
	VMOVUPS (SI), Y5
	XORQ AX, AX

top:
	VMAXPS (SI)(AX*1), Y5, Y5
	ADDQ $32, AX
	CMPQ AX, CX
	JLT  top
	VEXTRACTF128 $1, Y5, X0
	VMAXPS X0, X5, X5
	VPERMILPS $0x4E, X5, X0
	VMAXPS X0, X5, X5
	VPERMILPS $0xB1, X5, X0
	VMAXPS X0, X5, X5
	VBROADCASTSS X5, Y5
	VXORPS Y4, Y4, Y4
	XORQ AX, AX

exp:
	VMOVUPS (SI)(AX*1), Y0
	VSUBPS Y5, Y0, Y0
	VBROADCASTSS exps<>+40(SB), Y1
	VMAXPS Y1, Y0, Y0
	EXP
	VMOVUPS (SI)(AX*1), Y1
	VSUBPS Y5, Y1, Y1
	VBROADCASTSS exps<>+40(SB), Y2
	VCMPPS $13, Y2, Y1, Y1 // x − top ≥ −80
	VANDPS Y1, Y0, Y0
	VADDPS Y0, Y4, Y4
	VMOVUPS Y0, (SI)(AX*1)
	ADDQ $32, AX
	CMPQ AX, CX
	JLT  exp
	SUM(Y4, X4, X0)
	VDIVSS X4, X6, X4
	VBROADCASTSS X4, Y4
	XORQ AX, AX

scale:
	VMULPS (SI)(AX*1), Y4, Y0
	VMOVUPS Y0, (SI)(AX*1)
	ADDQ $32, AX
	CMPQ AX, CX
	JLT  scale
	ADDQ DX, SI
	DECQ BX
	JNZ  row
	VZEROUPPER
	RET

// func softmaxBack(d, p *float32, rows, n int, ld uintptr)
TEXT ·softmaxBack(SB), NOSPLIT, $0-40
	MOVQ d+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ rows+16(FP), BX
	MOVQ n+24(FP), CX
	MOVQ ld+32(FP), DX
	SHLQ $2, CX

row:
	VXORPS Y0, Y0, Y0
	XORQ AX, AX

dot:
	VMOVUPS (SI)(AX*1), Y1
	VFMADD231PS (DI)(AX*1), Y1, Y0
	ADDQ $32, AX
	CMPQ AX, CX
	JLT  dot
	SUM(Y0, X0, X1)
	VBROADCASTSS X0, Y0
	XORQ AX, AX

scale:
	VMOVUPS (DI)(AX*1), Y1
	VSUBPS Y0, Y1, Y1
	VMULPS (SI)(AX*1), Y1, Y1
	VMOVUPS Y1, (DI)(AX*1)
	ADDQ $32, AX
	CMPQ AX, CX
	JLT  scale
	ADDQ DX, SI
	ADDQ DX, DI
	DECQ BX
	JNZ  row
	VZEROUPPER
	RET

// func quickGELU(x, slope *float32, n int)
TEXT ·quickGELU(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), DI
	MOVQ slope+8(FP), SI
	MOVQ n+16(FP), CX
	EXP_SETUP
	VBROADCASTSS exps<>+48(SB), Y4

loop:
	VMOVUPS (DI), Y5
	VMULPS Y4, Y5, Y0 // −1.702 x
	VBROADCASTSS exps<>+40(SB), Y1
	VBROADCASTSS exps<>+44(SB), Y2
	VMAXPS Y1, Y0, Y0
	VMINPS Y2, Y0, Y0
	EXP
	VADDPS Y6, Y0, Y0
	VDIVPS Y0, Y6, Y0 // s
	VMULPS Y0, Y5, Y1 // x s
	VMOVUPS Y1, (DI)
	ADDQ $32, DI
	TESTQ SI, SI
	JEQ  next
	VSUBPS Y0, Y6, Y2 // 1 − s
	VMULPS Y4, Y1, Y3 // −1.702 x s
	VFNMADD231PS Y3, Y2, Y0
	VMOVUPS Y0, (SI)
	ADDQ $32, SI

next:
	SUBQ $8, CX
	JNZ  loop
	VZEROUPPER
	RET

// func dotHeads(dst *float32, stride uintptr, x, y *float32, heads, dh int)
TEXT ·dotHeads(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ stride+8(FP), DX
	MOVQ x+16(FP), SI
	MOVQ y+24(FP), R8
	MOVQ heads+32(FP), BX
	MOVQ dh+40(FP), R9

head:
	VXORPS Y0, Y0, Y0
	MOVQ R9, CX

dot:
	VMOVUPS (SI), Y1
	VFMADD231PS (R8), Y1, Y0
	ADDQ $32, SI
	ADDQ $32, R8
	SUBQ $8, CX
	JNZ  dot
	SUM(Y0, X0, X1)
	VMOVSS X0, (DI)
	ADDQ DX, DI
	DECQ BX
	JNZ  head
	VZEROUPPER
	RET

// func axpyHeads(y, x, alpha *float32, stride uintptr, heads, dh int)
TEXT ·axpyHeads(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ alpha+16(FP), R8
	MOVQ stride+24(FP), DX
	MOVQ heads+32(FP), BX
	MOVQ dh+40(FP), R9

head:
	VBROADCASTSS (R8), Y0
	MOVQ R9, CX

axpy:
	VMOVUPS (DI), Y1
	VFMADD231PS (SI), Y0, Y1
	VMOVUPS Y1, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ  axpy
	ADDQ DX, R8
	DECQ BX
	JNZ  head
	VZEROUPPER
	RET
