// The functions of OpenCL C that Carousel's kernels call, for Scripts/check-ptx: a driver brings its own. Exact where that is
// one instruction; exp and log are NVIDIA's approximations, shorter than a driver's, and are never run here.
#define OVERLOADED static inline __attribute__((overloadable, always_inline))

#define AXIS(name, x, y, z) OVERLOADED size_t name(uint d) { return d == 0 ? x() : d == 1 ? y() : z(); }
AXIS(get_local_id, __nvvm_read_ptx_sreg_tid_x, __nvvm_read_ptx_sreg_tid_y, __nvvm_read_ptx_sreg_tid_z)
AXIS(get_group_id, __nvvm_read_ptx_sreg_ctaid_x, __nvvm_read_ptx_sreg_ctaid_y, __nvvm_read_ptx_sreg_ctaid_z)
AXIS(get_local_size, __nvvm_read_ptx_sreg_ntid_x, __nvvm_read_ptx_sreg_ntid_y, __nvvm_read_ptx_sreg_ntid_z)
AXIS(get_num_groups, __nvvm_read_ptx_sreg_nctaid_x, __nvvm_read_ptx_sreg_nctaid_y, __nvvm_read_ptx_sreg_nctaid_z)
OVERLOADED size_t get_global_id(uint d) { return get_group_id(d) * get_local_size(d) + get_local_id(d); }
OVERLOADED size_t get_global_size(uint d) { return get_num_groups(d) * get_local_size(d); }
OVERLOADED void barrier(cl_mem_fence_flags flags) { __nvvm_bar_sync(0); }
OVERLOADED void mem_fence(cl_mem_fence_flags flags) { __nvvm_membar_gl(); }

#define ATOMIC(name, instruction) \
    OVERLOADED int name(volatile __global int *p, int x) { \
        int r; \
        __asm__ volatile("atom.global." instruction " %0, [%1], %2;" : "=r"(r) : "l"(p), "r"(x) : "memory"); \
        return r; \
    }
ATOMIC(atomic_add, "add.s32")
ATOMIC(atomic_or, "or.b32")
ATOMIC(atomic_xchg, "exch.b32")
OVERLOADED int atomic_inc(volatile __global int *p) { return atomic_add(p, 1); }

// A function of one or three floats, and of vectors of them by halves.
#define HALVES_1(f, F) OVERLOADED F f(F a) { F r; r.lo = f(a.lo); r.hi = f(a.hi); return r; }
#define VECTORS_1(f) HALVES_1(f, float2) HALVES_1(f, float4) HALVES_1(f, float8) HALVES_1(f, float16)
#define HALVES_2(f, F) OVERLOADED F f(F a, F b) { F r; r.lo = f(a.lo, b.lo); r.hi = f(a.hi, b.hi); return r; }
#define VECTORS_2(f) HALVES_2(f, float2) HALVES_2(f, float4) HALVES_2(f, float8) HALVES_2(f, float16)
#define HALVES_3(f, F) OVERLOADED F f(F a, F b, F c) { F r; r.lo = f(a.lo, b.lo, c.lo); r.hi = f(a.hi, b.hi, c.hi); return r; }
#define VECTORS_3(f) HALVES_3(f, float2) HALVES_3(f, float4) HALVES_3(f, float8) HALVES_3(f, float16)
OVERLOADED float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
VECTORS_3(fma)
OVERLOADED float sqrt(float a) { return __nvvm_sqrt_rn_f(a); }
VECTORS_1(sqrt)
OVERLOADED float fabs(float a) { return __builtin_fabsf(a); }
VECTORS_1(fabs)
OVERLOADED float rint(float a) { float r; __asm__("cvt.rni.f32.f32 %0, %1;" : "=f"(r) : "f"(a)); return r; }
VECTORS_1(rint)
OVERLOADED float exp(float a) { float r; __asm__("ex2.approx.f32 %0, %1;" : "=f"(r) : "f"(a * 1.442695041f)); return r; }
VECTORS_1(exp)
OVERLOADED float log(float a) { float r; __asm__("lg2.approx.f32 %0, %1;" : "=f"(r) : "f"(a)); return r * 0.693147181f; }
VECTORS_1(log)
OVERLOADED float log1p(float a) { return log(1 + a); }
VECTORS_1(log1p)
OVERLOADED float copysign(float a, float b) { return __builtin_copysignf(a, b); }
VECTORS_2(copysign)

#define ORDER(T) \
    OVERLOADED T min(T a, T b) { return a < b ? a : b; } \
    OVERLOADED T max(T a, T b) { return a > b ? a : b; }
ORDER(int)
ORDER(uint)
ORDER(long)
ORDER(ulong)
ORDER(float)

#define SELECT(T, I) OVERLOADED T select(T a, T b, I c) { return c < 0 ? b : a; }
SELECT(float4, int4)
SELECT(float8, int8)
SELECT(float16, int16)
SELECT(uint4, int4)
SELECT(uint8, int8)
OVERLOADED int isfinite(float x) { return __builtin_fabsf(x) < __builtin_inff(); }
OVERLOADED int isnan(float x) { return x != x; }
#define ISNAN(T, I) OVERLOADED I isnan(T x) { return x != x; }
ISNAN(float4, int4)
ISNAN(float8, int8)
ISNAN(float16, int16)
#define ALL(I) OVERLOADED int all(I x) { return all(x.lo) && all(x.hi); }
OVERLOADED int all(int x) { return x < 0; }
ALL(int2)
ALL(int4)
ALL(int8)
ALL(int16)

OVERLOADED ushort convert_ushort(uint x) { return x; }
OVERLOADED uint4 convert_uint4(ushort4 v) { return __builtin_convertvector(v, uint4); }
OVERLOADED ushort4 convert_ushort4(uint4 v) { return __builtin_convertvector(v, ushort4); }
OVERLOADED uint convert_uint(ulong x) { return x; }
OVERLOADED uint convert_uint(int x) { return x; }
OVERLOADED ulong convert_ulong(uint x) { return x; }
OVERLOADED uint16 convert_uint16(ulong16 v) { return __builtin_convertvector(v, uint16); }
OVERLOADED ulong16 convert_ulong16(uint16 v) { return __builtin_convertvector(v, ulong16); }
OVERLOADED int convert_int(float x) { return x; }
OVERLOADED int16 convert_int16(float16 v) { return __builtin_convertvector(v, int16); }
OVERLOADED float convert_float(int x) { return x; }
OVERLOADED float convert_float(uint x) { return x; }
OVERLOADED float16 convert_float16(int16 v) { return __builtin_convertvector(v, float16); }
OVERLOADED float16 convert_float16(uint16 v) { return __builtin_convertvector(v, float16); }

// Loads and stores of vectors that are aligned as one value.
#define MEMORY(SPACE, N) \
    OVERLOADED float##N vload##N(size_t i, const SPACE float *p) { float##N r; for (int k = 0; k < N; k++) r[k] = p[i * N + k]; return r; } \
    OVERLOADED void vstore##N(float##N v, size_t i, SPACE float *p) { for (int k = 0; k < N; k++) p[i * N + k] = v[k]; }
#define SPACES(N) MEMORY(__global, N) MEMORY(__local, N) MEMORY(__private, N)
SPACES(2)
SPACES(4)
SPACES(8)
SPACES(16)

static inline ushort to_half(float x) { ushort r; __asm__("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(x)); return r; }
static inline float from_half(ushort x) { float r; __asm__("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x)); return r; }
#define HALF(SPACE) \
    OVERLOADED void vstore_half_rte(float v, size_t i, SPACE half *p) { ((SPACE ushort *)p)[i] = to_half(v); } \
    OVERLOADED float vload_half(size_t i, const SPACE half *p) { return from_half(((const SPACE ushort *)p)[i]); }
HALF(__global)
HALF(__local)
HALF(__private)
#define HALVES(SPACE, N) \
    OVERLOADED void vstore_half##N##_rte(float##N v, size_t i, SPACE half *p) { for (int k = 0; k < N; k++) ((SPACE ushort *)p)[i * N + k] = to_half(v[k]); } \
    OVERLOADED float##N vload_half##N(size_t i, const SPACE half *p) { float##N r; for (int k = 0; k < N; k++) r[k] = from_half(((const SPACE ushort *)p)[i * N + k]); return r; } \
    OVERLOADED void vstorea_half##N##_rte(float##N v, size_t i, SPACE half *p) { ushort##N r; for (int k = 0; k < N; k++) r[k] = to_half(v[k]); ((SPACE ushort##N *)p)[i] = r; } \
    OVERLOADED float##N vloada_half##N(size_t i, const SPACE half *p) { const ushort##N x = ((const SPACE ushort##N *)p)[i]; float##N r; for (int k = 0; k < N; k++) r[k] = from_half(x[k]); return r; }
HALVES(__global, 2)
HALVES(__local, 2)
HALVES(__private, 2)
HALVES(__global, 4)
HALVES(__local, 4)
HALVES(__private, 4)
HALVES(__global, 8)
HALVES(__local, 8)
HALVES(__private, 8)
