// Batch norm of a pack, with relu and the residual. Follows on `convolution.cu`: there it says how maps and rows lie.


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

// relu, and whether it lets a slope through, by what came out. What is no number stays none, as in libtorch: a model that has
// diverged must not look well.
__device__ __forceinline__ float cut(float x) { return x < 0.f ? 0.f : x; }
__device__ __forceinline__ bool passes(float y) { return !(y <= 0.f); }

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
            v = make_float4(cut(v.x), cut(v.y), cut(v.z), cut(v.w));
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
            v = make_float4(cut(v.x), cut(v.y), cut(v.z), cut(v.w));
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
            g = make_float4(passes(o.x) ? g.x : 0.f, passes(o.y) ? g.y : 0.f, passes(o.z) ? g.z : 0.f, passes(o.w) ? g.w : 0.f);
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
        dy[start + at] = !y || passes(y[start + at]) ? d : 0.f;
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
        bool open = !y || passes(y[start + at]);
        float h = (x[start + at] - mean) * scale, dh = scale * (dx[start + at] - dmean - h * product);
        float g = open ? slopes[start + at] : 0.f, dg = open ? dslopes[start + at] : 0.f;
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
