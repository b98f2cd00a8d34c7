// The kernels of a pack on an NVIDIA GPU, compiled at start by NVRTC (`compile.rs`) and called by `kernels.rs`.
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

// --------------------------------------------------------------------------------------------------------------------- batch norm

// The block's sum, in every thread; always added in the same order.
__device__ float sum_of_block(float value) {
    __shared__ float sums[32];
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, step);
    if ((threadIdx.x & 31) == 0)
        sums[threadIdx.x >> 5] = value;
    __syncthreads();
    value = 0.f;
    for (int warp = 0; warp < (blockDim.x + 31) / 32; warp++)
        value += sums[warp];
    __syncthreads();
    return value;
}

// Moves the running statistics as libtorch does: momentum 0.1, the variance unbiased.
__device__ void follow(float *running_mean, float *running_var, int channel, float mean, float var, int count) {
    running_mean[channel] = 0.9f * running_mean[channel] + 0.1f * mean;
    running_var[channel] = 0.9f * running_var[channel] + 0.1f * var * ((float)count / (count - 1));
}

// Reads a channel into shared memory; gives its mean and its variance over `count` numbers.
__device__ float2 moments(const float *from, float *values, int count) {
    float sum = 0.f;
    for (int at = threadIdx.x; at < count / 4; at += blockDim.x) {
        float4 v = ((const float4 *)from)[at];
        ((float4 *)values)[at] = v;
        sum += (v.x + v.y) + (v.z + v.w);
    }
    float mean = sum_of_block(sum) / count;
    sum = 0.f;
    for (int at = threadIdx.x; at < count / 4; at += blockDim.x) {
        float4 v = ((float4 *)values)[at];
        float a = v.x - mean, b = v.y - mean, c = v.z - mean, d = v.w - mean;
        sum += (a * a + b * b) + (c * c + d * d);
    }
    return make_float2(mean, sum_of_block(sum) / count);
}

// A block a channel of a model: y = relu(norm(x) + residual), both of which may be left out. Keeps mean and 1 / deviation.
extern "C" __global__ void norm_train(const float *x, const float *weight, const float *bias, long row, int channels, const float *residual,
                                      float *y, float *means, float *scales, float *running_mean, float *running_var, int count, int relu) {
    long start = (long)blockIdx.x * count;
    float2 stats = moments(x + start, memory, count);
    float scale = 1.f / sqrtf(stats.y + EPS);
    long place = blockIdx.x / channels * row + blockIdx.x % channels;
    float w = weight[place] * scale, b = bias[place] - stats.x * w;
    if (threadIdx.x == 0) {
        means[blockIdx.x] = stats.x;
        scales[blockIdx.x] = scale;
        follow(running_mean, running_var, blockIdx.x, stats.x, stats.y, count);
    }
    for (int at = threadIdx.x; at < count / 4; at += blockDim.x) {
        float4 v = ((float4 *)memory)[at];
        v = make_float4(v.x * w + b, v.y * w + b, v.z * w + b, v.w * w + b);
        if (residual) {
            float4 r = ((const float4 *)(residual + start))[at];
            v = make_float4(v.x + r.x, v.y + r.y, v.z + r.z, v.w + r.w);
        }
        if (relu)
            v = make_float4(fmaxf(v.x, 0.f), fmaxf(v.y, 0.f), fmaxf(v.z, 0.f), fmaxf(v.w, 0.f));
        ((float4 *)(y + start))[at] = v;
    }
}

// The same with the running statistics.
extern "C" __global__ void norm_evaluate(const float *x, const float *weight, const float *bias, long row, int channels,
                                         const float *residual, float *y, const float *running_mean, const float *running_var, int count,
                                         int relu) {
    long start = (long)blockIdx.x * count, place = blockIdx.x / channels * row + blockIdx.x % channels;
    float w = weight[place] / sqrtf(running_var[blockIdx.x] + EPS), b = bias[place] - running_mean[blockIdx.x] * w;
    for (int at = threadIdx.x; at < count / 4; at += blockDim.x) {
        float4 v = ((const float4 *)(x + start))[at];
        v = make_float4(v.x * w + b, v.y * w + b, v.z * w + b, v.w * w + b);
        if (residual) {
            float4 r = ((const float4 *)(residual + start))[at];
            v = make_float4(v.x + r.x, v.y + r.y, v.z + r.z, v.w + r.w);
        }
        if (relu)
            v = make_float4(fmaxf(v.x, 0.f), fmaxf(v.y, 0.f), fmaxf(v.z, 0.f), fmaxf(v.w, 0.f));
        ((float4 *)(y + start))[at] = v;
    }
}

// The gradients of norm_train: `slopes` is y's; where y is given, only what relu let through counts, and is kept in `through` if that is
// given (the residual's gradient, too).
extern "C" __global__ void norm_back(const float *slopes, const float *y, const float *x, const float *means, const float *scales,
                                     const float *weight, long row, int channels, float *dx, float *dweight, float *dbias, float *through,
                                     int count) {
    float *gs = memory, *hats = memory + count;
    long start = (long)blockIdx.x * count, place = blockIdx.x / channels * row + blockIdx.x % channels;
    float mean = means[blockIdx.x], scale = scales[blockIdx.x], sum = 0.f, product = 0.f;
    for (int at = threadIdx.x; at < count / 4; at += blockDim.x) {
        float4 g = ((const float4 *)(slopes + start))[at], v = ((const float4 *)(x + start))[at];
        if (y) {
            float4 o = ((const float4 *)(y + start))[at];
            g = make_float4(o.x > 0.f ? g.x : 0.f, o.y > 0.f ? g.y : 0.f, o.z > 0.f ? g.z : 0.f, o.w > 0.f ? g.w : 0.f);
        }
        if (through)
            ((float4 *)(through + start))[at] = g;
        v = make_float4((v.x - mean) * scale, (v.y - mean) * scale, (v.z - mean) * scale, (v.w - mean) * scale);
        ((float4 *)gs)[at] = g;
        ((float4 *)hats)[at] = v;
        sum += (g.x + g.y) + (g.z + g.w);
        product += (g.x * v.x + g.y * v.y) + (g.z * v.z + g.w * v.w);
    }
    sum = sum_of_block(sum);
    product = sum_of_block(product);
    if (threadIdx.x == 0) {
        dweight[place] = product;
        dbias[place] = sum;
    }
    float w = weight[place] * scale, a = sum / count, b = product / count;
    for (int at = threadIdx.x; at < count / 4; at += blockDim.x) {
        float4 g = ((float4 *)gs)[at], h = ((float4 *)hats)[at];
        g = make_float4(w * (g.x - a - h.x * b), w * (g.y - a - h.y * b), w * (g.z - a - h.z * b), w * (g.w - a - h.w * b));
        ((float4 *)(dx + start))[at] = g;
    }
}

// The derivative of norm_train along dx (its input's), signs (the weights', the same for all models) and dresidual. With h = (x - mean) scale:
// dh = scale (dx - mean(dx) - h mean(h dx)); both means are kept.
extern "C" __global__ void norm_tangent(const float *x, const float *dx, const float *y, const float *means, const float *scales,
                                        const float *weight, long row, const float *sign_weight, const float *sign_bias, int channels,
                                        const float *dresidual, float *dy, float *dmeans, float *products, int count) {
    float *hats = memory, *ds = memory + count;
    long start = (long)blockIdx.x * count;
    int channel = blockIdx.x % channels;
    float mean = means[blockIdx.x], scale = scales[blockIdx.x], sum = 0.f, product = 0.f;
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
        float h = (x[start + at] - mean) * scale, d = dx[start + at];
        hats[at] = h;
        ds[at] = d;
        sum += d;
        product += h * d;
    }
    sum = sum_of_block(sum) / count;
    product = sum_of_block(product) / count;
    if (threadIdx.x == 0) {
        dmeans[blockIdx.x] = sum;
        products[blockIdx.x] = product;
    }
    float w = weight[blockIdx.x / channels * row + channel] * scale, dw = sign_weight[channel], db = sign_bias[channel];
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
        float d = dw * hats[at] + w * (ds[at] - sum - hats[at] * product) + db;
        if (dresidual)
            d += dresidual[start + at];
        dy[start + at] = !y || y[start + at] > 0.f ? d : 0.f;
    }
}

// What the derivative of norm_back takes from a number of the map.
struct Slope {
    float hat, dhat, g, dg;
};

// The derivative of norm_back's dx, given the sums over the channel, divided by count: of g, g h, dg, and dg h + g dh.
__device__ __forceinline__ float back_tangent(Slope s, float4 m, float w, float dw) {
    return dw * (s.g - m.x - s.hat * m.y) + w * (s.dg - m.z - s.dhat * m.y - s.hat * m.w);
}

// The derivative of norm_back: `dslopes` belongs to slopes; ddx, dweight, dbias and dthrough are the derivatives of what it gave.
extern "C" __global__ void norm_back_tangent(const float *slopes, const float *dslopes, const float *y, const float *x, const float *dx,
                                             const float *means, const float *scales, const float *dmeans, const float *products,
                                             const float *weight, long row, const float *sign_weight, int channels, float *ddx,
                                             float *dweight, float *dbias, float *dthrough, int count) {
    float *hats = memory, *dhats = memory + count, *gs = memory + 2 * count, *dgs = memory + 3 * count;
    long start = (long)blockIdx.x * count, place = blockIdx.x / channels * row + blockIdx.x % channels;
    float mean = means[blockIdx.x], scale = scales[blockIdx.x], dmean = dmeans[blockIdx.x], product = products[blockIdx.x];
    float4 m = make_float4(0.f, 0.f, 0.f, 0.f);
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
        bool passes = !y || y[start + at] > 0.f;
        float h = (x[start + at] - mean) * scale, dh = scale * (dx[start + at] - dmean - h * product);
        float g = passes ? slopes[start + at] : 0.f, dg = passes ? dslopes[start + at] : 0.f;
        if (dthrough)
            dthrough[start + at] = dg;
        hats[at] = h;
        dhats[at] = dh;
        gs[at] = g;
        dgs[at] = dg;
        m.x += g;
        m.y += g * h;
        m.z += dg;
        m.w += dg * h + g * dh;
    }
    m = make_float4(sum_of_block(m.x), sum_of_block(m.y), sum_of_block(m.z), sum_of_block(m.w));
    if (threadIdx.x == 0) {
        dweight[place] = m.w;
        dbias[place] = m.z;
    }
    m = make_float4(m.x / count, m.y / count, m.z / count, m.w / count);
    float w = weight[place] * scale, dw = sign_weight[blockIdx.x % channels] * scale - w * scale * product;
    for (int at = threadIdx.x; at < count; at += blockDim.x)
        ddx[start + at] = back_tangent({hats[at], dhats[at], gs[at], dgs[at]}, m, w, dw);
}

// ------------------------------------------------------------------------------------------------------------------------ the stem

#define SIDE 14
#define POOLED 7

// The largest of a 3x3 window with stride 2 and padding 1, and where it is: the first in rows, as libtorch has it.
__device__ float largest(const float *map, int pixel, int image, int images, unsigned char *where) {
    int y0 = pixel / POOLED * 2 - 1, x0 = pixel % POOLED * 2 - 1;
    float best = -__int_as_float(0x7f800000);
    int place = -1;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            int y = y0 + i, x = x0 + j;
            if (y >= 0 && y < SIDE && x >= 0 && x < SIDE) {
                float value = map[(y * SIDE + x) * images + image];
                if (value > best || value != value || place < 0) {
                    best = value;
                    place = y * SIDE + x;
                }
            }
        }
    *where = (unsigned char)place;
    return best;
}

// Batch norm, relu and the 3x3 maximum of the first layer's maps: [K, 64, 14 14, N] to [K, 64, 7 7, N], and where each came from.
extern "C" __global__ void stem_train(const float *x, const float *weight, const float *bias, long row, float *y, unsigned char *from,
                                      float *means, float *scales, float *running_mean, float *running_var, int images) {
    const int count = SIDE * SIDE * images;
    float2 stats = moments(x + (long)blockIdx.x * count, memory, count);
    float scale = 1.f / sqrtf(stats.y + EPS);
    long place = blockIdx.x / 64 * row + blockIdx.x % 64;
    float w = weight[place] * scale, b = bias[place] - stats.x * w;
    if (threadIdx.x == 0) {
        means[blockIdx.x] = stats.x;
        scales[blockIdx.x] = scale;
        follow(running_mean, running_var, blockIdx.x, stats.x, stats.y, count);
    }
    for (int at = threadIdx.x; at < count; at += blockDim.x)
        memory[at] = fmaxf(memory[at] * w + b, 0.f);
    __syncthreads();
    long start = (long)blockIdx.x * POOLED * POOLED * images;
    for (int at = threadIdx.x; at < POOLED * POOLED * images; at += blockDim.x)
        y[start + at] = largest(memory, at / images, at % images, images, from + start + at);
}

extern "C" __global__ void stem_evaluate(const float *x, const float *weight, const float *bias, long row, float *y,
                                         const float *running_mean, const float *running_var, int images) {
    const float *maps = x + (long)blockIdx.x * SIDE * SIDE * images;
    long place = blockIdx.x / 64 * row + blockIdx.x % 64, start = (long)blockIdx.x * POOLED * POOLED * images;
    float w = weight[place] / sqrtf(running_var[blockIdx.x] + EPS), b = bias[place] - running_mean[blockIdx.x] * w;
    for (int at = threadIdx.x; at < POOLED * POOLED * images; at += blockDim.x) {
        int y0 = at / images / POOLED * 2 - 1, x0 = at / images % POOLED * 2 - 1, image = at % images;
        float best = 0.f; // relu's
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                if (y0 + i >= 0 && y0 + i < SIDE && x0 + j >= 0 && x0 + j < SIDE)
                    best = fmaxf(best, maps[((y0 + i) * SIDE + x0 + j) * images + image] * w + b);
        y[start + at] = best;
    }
}

// What reaches a pixel of the stem's maps from the windows that took it; `y` is what they took: relu lets through what is above 0.
__device__ float from_windows(const float *slopes, const float *y, const unsigned char *from, int pixel, int image, int images) {
    int row = pixel / SIDE, column = pixel % SIDE;
    float sum = 0.f;
    for (int i = row / 2; i <= (row + 1) / 2 && i < POOLED; i++)
        for (int j = column / 2; j <= (column + 1) / 2 && j < POOLED; j++) {
            int at = (i * POOLED + j) * images + image;
            if (from[at] == pixel && y[at] > 0.f)
                sum += slopes[at];
        }
    return sum;
}

// The gradients of stem_train.
extern "C" __global__ void stem_back(const float *slopes, const float *y, const unsigned char *from, const float *x, const float *means,
                                     const float *scales, const float *weight, long row, float *dx, float *dweight, float *dbias,
                                     int images) {
    const int count = SIDE * SIDE * images;
    long start = (long)blockIdx.x * count, pooled = (long)blockIdx.x * POOLED * POOLED * images;
    long place = blockIdx.x / 64 * row + blockIdx.x % 64;
    float mean = means[blockIdx.x], scale = scales[blockIdx.x], sum = 0.f, product = 0.f;
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
        float g = from_windows(slopes + pooled, y + pooled, from + pooled, at / images, at % images, images);
        memory[at] = g;
        sum += g;
        product += g * ((x[start + at] - mean) * scale);
    }
    sum = sum_of_block(sum);
    product = sum_of_block(product);
    if (threadIdx.x == 0) {
        dweight[place] = product;
        dbias[place] = sum;
    }
    float w = weight[place] * scale, a = sum / count, b = product / count;
    for (int at = threadIdx.x; at < count; at += blockDim.x)
        dx[start + at] = w * (memory[at] - a - (x[start + at] - mean) * scale * b);
}

// The derivative of stem_train, as norm_tangent's.
extern "C" __global__ void stem_tangent(const float *x, const float *dx, const float *y, const unsigned char *from, const float *means,
                                        const float *scales, const float *weight, long row, const float *sign_weight,
                                        const float *sign_bias, float *dy, float *dmeans, float *products, int images) {
    const int count = SIDE * SIDE * images, channel = blockIdx.x % 64;
    long start = (long)blockIdx.x * count, pooled = (long)blockIdx.x * POOLED * POOLED * images;
    float mean = means[blockIdx.x], scale = scales[blockIdx.x], sum = 0.f, product = 0.f;
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
        float d = dx[start + at];
        sum += d;
        product += (x[start + at] - mean) * scale * d;
    }
    sum = sum_of_block(sum) / count;
    product = sum_of_block(product) / count;
    if (threadIdx.x == 0) {
        dmeans[blockIdx.x] = sum;
        products[blockIdx.x] = product;
    }
    float w = weight[blockIdx.x / 64 * row + channel] * scale, dw = sign_weight[channel], db = sign_bias[channel];
    for (int at = threadIdx.x; at < POOLED * POOLED * images; at += blockDim.x) {
        long taken = start + from[pooled + at] * images + at % images;
        float h = (x[taken] - mean) * scale;
        dy[pooled + at] = y[pooled + at] > 0.f ? dw * h + w * (dx[taken] - sum - h * product) + db : 0.f;
    }
}

// The derivative of stem_back, as norm_back_tangent's.
extern "C" __global__ void stem_back_tangent(const float *slopes, const float *dslopes, const float *y, const unsigned char *from,
                                             const float *x, const float *dx, const float *means, const float *scales,
                                             const float *dmeans, const float *products, const float *weight, long row,
                                             const float *sign_weight, float *ddx, float *dweight, float *dbias, int images) {
    const int count = SIDE * SIDE * images;
    long start = (long)blockIdx.x * count, pooled = (long)blockIdx.x * POOLED * POOLED * images;
    long place = blockIdx.x / 64 * row + blockIdx.x % 64;
    float mean = means[blockIdx.x], scale = scales[blockIdx.x], dmean = dmeans[blockIdx.x], product = products[blockIdx.x];
    float4 m = make_float4(0.f, 0.f, 0.f, 0.f);
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
        float h = (x[start + at] - mean) * scale, dh = scale * (dx[start + at] - dmean - h * product);
        float g = from_windows(slopes + pooled, y + pooled, from + pooled, at / images, at % images, images);
        float dg = from_windows(dslopes + pooled, y + pooled, from + pooled, at / images, at % images, images);
        memory[at] = g;
        ddx[start + at] = dg; // Waits there.
        m.x += g;
        m.y += g * h;
        m.z += dg;
        m.w += dg * h + g * dh;
    }
    m = make_float4(sum_of_block(m.x), sum_of_block(m.y), sum_of_block(m.z), sum_of_block(m.w));
    if (threadIdx.x == 0) {
        dweight[place] = m.w;
        dbias[place] = m.z;
    }
    m = make_float4(m.x / count, m.y / count, m.z / count, m.w / count);
    float w = weight[place] * scale, dw = sign_weight[blockIdx.x % 64] * scale - w * scale * product;
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
        float h = (x[start + at] - mean) * scale, dh = scale * (dx[start + at] - dmean - h * product);
        ddx[start + at] = back_tangent({h, dh, memory[at], ddx[start + at]}, m, w, dw);
    }
}
