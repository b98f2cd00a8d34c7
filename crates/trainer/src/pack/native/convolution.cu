// Convolutions of a pack on an NVIDIA GPU. With `norm.cu` and `stem.cu`, which follow on it, it is one program: compiled at start by NVRTC
// (`module.rs`), called by `kernels.rs`.
//
// Maps are [K, C, H W, N], single precision, the images innermost; N is a multiple of 4. Weights and their gradients are rows [K, P], of
// which a kernel gets the address of one parameter in the first row and the step to the next row. A product on the tensor cores takes
// eight channels or eight images at a time (m16n8k8), so that eight images of one pixel are a column block: what lies outside
// of a map is known by pixel and is never multiplied, and no columns (im2col) are written.
//
// PASSES: 1 for products in TF32; 3 for products of (high + low) parts, all but low x low, which keeps single precision to rounding.

#define THREADS 256
#define EPS 1e-5f

extern __shared__ __align__(16) float memory[];

// ---------------------------------------------------------------------------------------------------------------- tensor cores

struct Part {
    unsigned high, low;
};

__device__ __forceinline__ unsigned tf32(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

__device__ __forceinline__ Part part(float x) {
    Part p;
    p.high = tf32(x);
    p.low = PASSES == 1 ? 0u : tf32(x - __uint_as_float(p.high));
    return p;
}

__device__ __forceinline__ void multiply(float (&d)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// d += a b, of 16x8 and 8x8 numbers. Tensor cores cut sums off instead of rounding them, which would add up over a long sum: with
// three passes each product is summed by itself and then added.
__device__ __forceinline__ void multiply(float (&d)[4], const Part (&a)[4], const Part (&b)[2]) {
    if (PASSES == 1) {
        multiply(d, a[0].high, a[1].high, a[2].high, a[3].high, b[0].high, b[1].high);
        return;
    }
    float sum[4] = {};
    multiply(sum, a[0].low, a[1].low, a[2].low, a[3].low, b[0].high, b[1].high);
    multiply(sum, a[0].high, a[1].high, a[2].high, a[3].high, b[0].low, b[1].low);
    multiply(sum, a[0].high, a[1].high, a[2].high, a[3].high, b[0].high, b[1].high);
    for (int at = 0; at < 4; at++)
        d[at] += sum[at];
}

// ------------------------------------------------------------------------------------------------------- copies into shared memory

template <int BYTES> __device__ __forceinline__ void copy(float *to, const float *from, bool inside) {
    unsigned address = (unsigned)__cvta_generic_to_shared(to);
    int bytes = inside ? BYTES : 0; // What is not read is zero.
    if (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes));
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(address), "l"(from), "r"(bytes));
}

__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;"); }

template <int LEFT> __device__ __forceinline__ void await() { asm volatile("cp.async.wait_group %0;" ::"n"(LEFT)); }

// The smallest length from `length` on that is `rest` more than a multiple of 32: rows so far apart meet in no bank.
__device__ constexpr int spread(int length, int rest) { return length + ((rest - length) % 32 + 32) % 32; }

// ------------------------------------------------------------------------------------------------------------------- convolutions

// A 3x3 convolution with padding 1, forwards or for the gradient of its input. KIND 0 and 1: forwards with that stride less one;
// 2 and 3: backwards. On each axis output pixel `out` takes input pixel `source(out, tap)` by each tap, -1: none.
template <int IN, int KIND> __device__ __forceinline__ constexpr int source(int out, int tap) {
    int in = KIND == 0 ? out + tap - 1 : KIND == 1 ? 2 * out + tap - 1 : out - tap + 1;
    if (KIND == 3) {
        if (in % 2 != 0)
            return -1;
        in /= 2;
    }
    return in >= 0 && in < IN ? in : -1;
}

// GROUPS: of eight images a block; ROWS, WIDE: rows of pixels and groups a warp has; four warps share the columns.
template <int IN, int OUT, int KIND, int GROUPS, int ROWS, int WIDE, int STAGES>
__device__ __forceinline__ void convolve(const float *weights, long row, const float *input, float *output, int out_channels, int in_channels,
                                         int images, int add) {
    constexpr bool BACK = KIND >= 2;
    constexpr int A_ROW = BACK ? spread(576, 2) : 76, A_SIZE = BACK ? 8 * A_ROW : 64 * A_ROW;
    constexpr int PIXELS = IN * IN, B_ROW = spread(GROUPS * PIXELS * 8, 8), STAGE = A_SIZE + 8 * B_ROW;
    const int thread = threadIdx.x, lane = thread & 31, warp = thread >> 5;
    const int model = blockIdx.z, first_out = blockIdx.y * 64, first_image = blockIdx.x * GROUPS * 8;
    weights += model * row;
    input += (long)model * in_channels * PIXELS * images + first_image;

    auto load = [&](int chunk) {
        float *a = memory + (chunk % STAGES) * STAGE, *b = a + A_SIZE;
        if (BACK) {
            for (int at = thread; at < 8 * 288; at += THREADS) {
                int k = at / 288, column = at % 288 * 2;
                copy<8>(a + k * A_ROW + column, weights + ((long)(chunk * 8 + k) * out_channels + first_out) * 9 + column, true);
            }
        } else {
            for (int at = thread; at < 64 * 36; at += THREADS) {
                int m = at / 36, column = at % 36 * 2;
                copy<8>(a + m * A_ROW + column, weights + ((long)(first_out + m) * in_channels + chunk * 8) * 9 + column, true);
            }
        }
        const float *from = input + (long)chunk * 8 * PIXELS * images;
        for (int at = thread; at < 8 * PIXELS * GROUPS * 2; at += THREADS) {
            int piece = at % (GROUPS * 2), pixel = at / (GROUPS * 2) % PIXELS, k = at / (GROUPS * 2 * PIXELS);
            bool inside = first_image + piece * 4 < images;
            const float *here = from + ((long)k * PIXELS + pixel) * images + (inside ? piece * 4 : 0);
            copy<16>(b + k * B_ROW + (piece / 2 * PIXELS + pixel) * 8 + piece % 2 * 4, here, inside);
        }
    };

    const int half = (warp & 1) * 32, share = warp >> 1;
    const int first_row = OUT == 2 ? 0 : share * ROWS, first_group = OUT == 2 ? share * WIDE : 0;
    const int line = lane >> 2, column = lane & 3;
    float sums[2][ROWS][WIDE][OUT][4] = {};

    const int chunks = in_channels / 8;
    for (int chunk = 0; chunk < STAGES - 1; chunk++) {
        if (chunk < chunks)
            load(chunk);
        commit();
    }
    for (int chunk = 0; chunk < chunks; chunk++) {
        await<STAGES - 2>();
        __syncthreads();
        if (chunk + STAGES - 1 < chunks)
            load(chunk + STAGES - 1);
        commit();
        const float *a = memory + (chunk % STAGES) * STAGE, *b = a + A_SIZE + column * B_ROW + line;
#pragma unroll
        for (int i = 0; i < 3; i++) {
            Part left[3][2][4];
#pragma unroll
            for (int j = 0; j < 3; j++)
#pragma unroll
                for (int tile = 0; tile < 2; tile++)
#pragma unroll
                    for (int at = 0; at < 4; at++) {
                        int m = half + tile * 16 + line + at % 2 * 8, k = column + at / 2 * 4;
                        left[j][tile][at] = part(a[(BACK ? k * A_ROW + m * 9 : m * A_ROW + k * 9) + i * 3 + j]);
                    }
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                int from = source<IN, KIND>(first_row + r, i);
                if (first_row + r < OUT && from >= 0) {
#pragma unroll
                    for (int w = 0; w < WIDE; w++) {
                        int group = first_group + w;
                        if (group < GROUPS) {
                            Part right[IN][2];
#pragma unroll
                            for (int x = 0; x < IN; x++) {
                                int at = (group * PIXELS + from * IN + x) * 8;
                                right[x][0] = part(b[at]);
                                right[x][1] = part(b[at + 4 * B_ROW]);
                            }
#pragma unroll
                            for (int j = 0; j < 3; j++)
#pragma unroll
                                for (int x = 0; x < OUT; x++) {
                                    constexpr int none = -1;
                                    int column_from = source<IN, KIND>(x, j);
                                    if (column_from != none) {
                                        multiply(sums[0][r][w][x], left[j][0], right[column_from]);
                                        multiply(sums[1][r][w][x], left[j][1], right[column_from]);
                                    }
                                }
                        }
                    }
                }
            }
        }
    }

    output += (long)model * out_channels * OUT * OUT * images;
#pragma unroll
    for (int tile = 0; tile < 2; tile++)
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int w = 0; w < WIDE; w++)
#pragma unroll
                for (int x = 0; x < OUT; x++)
#pragma unroll
                    for (int at = 0; at < 2; at++) {
                        int m = first_out + half + tile * 16 + line + at * 8, image = first_image + (first_group + w) * 8 + column * 2;
                        if (first_row + r < OUT && first_group + w < GROUPS && image < images) {
                            float2 *to = (float2 *)(output + ((long)m * OUT * OUT + (first_row + r) * OUT + x) * images + image);
                            float2 value = make_float2(sums[tile][r][w][x][at * 2], sums[tile][r][w][x][at * 2 + 1]);
                            if (add) {
                                value.x += to->x;
                                value.y += to->y;
                            }
                            *to = value;
                        }
                    }
}

#define CONVOLUTION(NAME, ...)                                                                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS, 1) NAME(const float *weights, long row, const float *input, float *output,       \
                                                                  int out_channels, int in_channels, int images, int add) {                \
        convolve<__VA_ARGS__>(weights, row, input, output, out_channels, in_channels, images, add);                                        \
    }
CONVOLUTION(conv_7_7, 7, 7, 0, 1, 2, 1, 4)
CONVOLUTION(conv_7_4, 7, 4, 1, 2, 1, 2, 4)
CONVOLUTION(conv_4_4, 4, 4, 0, 2, 1, 2, 4)
CONVOLUTION(conv_4_2, 4, 2, 1, 13, 2, 4, 2)
CONVOLUTION(conv_2_2, 2, 2, 0, 13, 2, 4, 4)
CONVOLUTION(back_7_7, 7, 7, 2, 1, 2, 1, 4)
CONVOLUTION(back_4_7, 4, 7, 3, 1, 2, 1, 4)
CONVOLUTION(back_4_4, 4, 4, 2, 2, 1, 2, 4)
CONVOLUTION(back_2_4, 2, 4, 3, 2, 1, 2, 4)
CONVOLUTION(back_2_2, 2, 2, 2, 13, 2, 4, 4)

// The gradient of the weights: the sum over pixels and images of output's gradient times input. A block has 64x64 kernels of a model,
// and of the images its share of gridDim.x; shares are `part_step` apart. BAND: rows of the output's map that are in shared memory at
// once, with the X_ROWS rows of the input's that they need.
template <int IN, int OUT, int STRIDE, int BAND, int X_ROWS, int GROUPS>
__device__ __forceinline__ void gradient(const float *input, const float *slopes, float *output, long row, long part_step, int out_channels,
                                         int in_channels, int images, int add) {
    constexpr int BANDS = (OUT + BAND - 1) / BAND;
    constexpr int A_ROW = spread(BAND * OUT * GROUPS * 8, 4), B_ROW = spread(X_ROWS * IN * GROUPS * 8, 4), STAGE = 64 * (A_ROW + B_ROW);
    const int thread = threadIdx.x, lane = thread & 31, warp = thread >> 5, line = lane >> 2, column = lane & 3;
    const int tiles = in_channels / 64, first_out = blockIdx.y / tiles * 64, first_in = blockIdx.y % tiles * 64, model = blockIdx.z;
    slopes += ((long)model * out_channels + first_out) * OUT * OUT * images;
    input += ((long)model * in_channels + first_in) * IN * IN * images;
    const int chunks = (images + GROUPS * 8 - 1) / (GROUPS * 8), share = (chunks + gridDim.x - 1) / gridDim.x;
    const int begin = blockIdx.x * share * BANDS, end = min(chunks, ((int)blockIdx.x + 1) * share) * BANDS;

    auto load = [&](int stage) {
        int first_image = stage / BANDS * GROUPS * 8, first_row = stage % BANDS * BAND, x_row = BANDS == 1 ? 0 : first_row * STRIDE - 1;
        float *a = memory + (stage & 1) * STAGE, *b = a + 64 * A_ROW;
        for (int at = thread; at < 64 * BAND * OUT * GROUPS * 2; at += THREADS) {
            int piece = at % (GROUPS * 2), pixel = at / (GROUPS * 2) % (BAND * OUT), channel = at / (GROUPS * 2 * BAND * OUT);
            int image = first_image + piece * 4;
            bool inside = image < images && first_row * OUT + pixel < OUT * OUT;
            const float *from = slopes + (inside ? ((long)channel * OUT * OUT + first_row * OUT + pixel) * images + image : 0);
            copy<16>(a + channel * A_ROW + (pixel * GROUPS + piece / 2) * 8 + piece % 2 * 4, from, inside);
        }
        for (int at = thread; at < 64 * X_ROWS * IN * GROUPS * 2; at += THREADS) {
            int piece = at % (GROUPS * 2), pixel = at / (GROUPS * 2) % (X_ROWS * IN), channel = at / (GROUPS * 2 * X_ROWS * IN);
            int image = first_image + piece * 4, there = x_row * IN + pixel;
            bool inside = image < images && there >= 0 && there < IN * IN;
            const float *from = input + (inside ? ((long)channel * IN * IN + there) * images + image : 0);
            copy<16>(b + channel * B_ROW + (pixel * GROUPS + piece / 2) * 8 + piece % 2 * 4, from, inside);
        }
    };

    const int m0 = (warp & 1) * 32, c0 = (warp >> 1) * 16;
    float sums[9][2][2][4] = {};
    if (begin < end)
        load(begin);
    commit();
    for (int stage = begin; stage < end; stage++) {
        if (stage + 1 < end)
            load(stage + 1);
        commit();
        await<1>();
        __syncthreads();
        int first_row = stage % BANDS * BAND, x_row = BANDS == 1 ? 0 : first_row * STRIDE - 1;
        const float *a = memory + (stage & 1) * STAGE + (m0 + line) * A_ROW + column;
        const float *b = memory + (stage & 1) * STAGE + 64 * A_ROW + (c0 + line) * B_ROW + column;
        for (int r = 0; r < BAND && first_row + r < OUT; r++) {
#pragma unroll 1
            for (int group = 0; group < GROUPS; group++) {
#pragma unroll
                for (int i = 0; i < 3; i++) {
                    int from = (first_row + r) * STRIDE + i - 1;
                    if (from >= 0 && from < IN) {
                        const float *a_row = a + (r * OUT * GROUPS + group) * 8, *b_row = b + ((from - x_row) * IN * GROUPS + group) * 8;
                        Part right[IN][2][2];
#pragma unroll
                        for (int x = 0; x < IN; x++)
#pragma unroll
                            for (int tile = 0; tile < 2; tile++)
#pragma unroll
                                for (int at = 0; at < 2; at++)
                                    right[x][tile][at] = part(b_row[tile * 8 * B_ROW + x * GROUPS * 8 + at * 4]);
#pragma unroll
                        for (int x = 0; x < OUT; x++) {
                            Part left[2][4];
#pragma unroll
                            for (int tile = 0; tile < 2; tile++)
#pragma unroll
                                for (int at = 0; at < 4; at++)
                                    left[tile][at] = part(a_row[(tile * 16 + at % 2 * 8) * A_ROW + x * GROUPS * 8 + at / 2 * 4]);
#pragma unroll
                            for (int j = 0; j < 3; j++) {
                                int column_from = x * STRIDE + j - 1;
                                if (column_from >= 0 && column_from < IN) {
#pragma unroll
                                    for (int m = 0; m < 2; m++)
#pragma unroll
                                        for (int n = 0; n < 2; n++)
                                            multiply(sums[i * 3 + j][m][n], left[m], right[column_from][n]);
                                }
                            }
                        }
                    }
                }
            }
        }
        __syncthreads();
    }

    output += model * row + blockIdx.x * part_step;
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int at = 0; at < 2; at++) {
                // Two neighbours, all taps: 18 numbers that lie together.
                long o = first_out + m0 + m * 16 + line + at * 8, c = first_in + c0 + n * 8 + column * 2;
                float2 *to = (float2 *)(output + (o * in_channels + c) * 9);
#pragma unroll
                for (int pair = 0; pair < 9; pair++) {
                    float2 value;
                    value.x = sums[pair * 2 % 9][m][n][at * 2 + pair * 2 / 9];
                    value.y = sums[(pair * 2 + 1) % 9][m][n][at * 2 + (pair * 2 + 1) / 9];
                    if (add) {
                        value.x += to[pair].x;
                        value.y += to[pair].y;
                    }
                    to[pair] = value;
                }
            }
}

#define GRADIENT(NAME, ...)                                                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS, 1) NAME(const float *input, const float *slopes, float *output, long row,        \
                                                                  long part_step, int out_channels, int in_channels, int images, int add) {\
        gradient<__VA_ARGS__>(input, slopes, output, row, part_step, out_channels, in_channels, images, add);                              \
    }
GRADIENT(grad_7_7, 7, 7, 1, 2, 4, 1)
GRADIENT(grad_7_4, 7, 4, 2, 2, 5, 1)
GRADIENT(grad_4_4, 4, 4, 1, 4, 4, 1)
GRADIENT(grad_4_2, 4, 2, 2, 2, 4, 2)
GRADIENT(grad_2_2, 2, 2, 1, 2, 2, 4)

// Adds up the shares of a gradient: `length` numbers a model, [parts, K, length] into rows.
extern "C" __global__ void add_parts(const float *parts, int count, int length, float *output, long row, int add) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= length)
        return;
    const float *from = parts + (long)blockIdx.y * length + at;
    float *to = output + blockIdx.y * row + at;
    float sum = add ? *to : 0.f;
    for (int part = 0; part < count; part++)
        sum += from[(long)part * gridDim.y * length];
    *to = sum;
}
