"""Local learning in integers (``quantization.arithmetic=integer``): every quantity is a code, every step int64 can repeat.

Sources: [DECOLLE], [ICONS]; NUMERICS sections 4 and 6. The float equations are those of `qsnn.dynamics.traces`,
`refractory_lif`, `local_readout` and `local_gradient`; here is what an integer machine computes instead. Upper case: integers
that follow from formats and time constants when the net is built (they belong into an artefact); lower case: codes that change.
For the widths

    pb qb rb ub wb sb gb eb ab nb   of P, Q, R, U, weights, sigmoid z, readout and feedback matrix, errors, readout r, gradients

two kinds of rounding: behind a multiplier half up, ``(x + 2^(k-1)) >> k``; behind a power of two alone half to even, as every
quantizer of `qsnn.quantization` has it (ties are frequent there, and half up would move errors upward).

    traces       p' = min((P1 p + P2 q + half) >> k, 2^pb - 1)          k = neuron.decay_bits, multipliers one for each input
                 q' = clamp((Q1 q + Q2 x + half) >> k, 0, 2^qb - 1)     p uses the old q; x: input spikes, -1, 0 or 1
    membrane     a  = sum p' w + ((B1 b + half) >> B2)                  w, b: codes of weights and biases, a: accumulator
                 u  = code((U1 a - (R[r] << (U2 - 8)) + half) >> U2)    R: what r subtracts, in 2^-8 codes of u
                 s  = 1 if u >= 0 else 0;  r' = N[s, r]                 value of u: 8 * 2^-(ub-1)
                 pooled: the largest u of a window, and its place (the first of equals)
    activation   z  = Z[u]                                              of the pooled u; the next layer sees s of the pooled u
    readout      c  = code(rint(sum z G * 2^-(sb + gb - 1 + scale - (ab - 1))))      r = (c + 2^(ab-1)) * 2^-ab
    errors       d  = m ((c + 2^(ab-1)) m - 2^ab y);  e_r = E(d);  e = E(sum e_r F)
                 g  = (2^8 e + L1) D[u] + L2 at a window's winner, L2 elsewhere;  e_U = E(g)
                 L1 = rint(A1 / count of e),  L2 = -rint(A2 / count of u) while 80 sum u < 2^(ub-1) (count of u), else 0
    E(x)         code(rint(x 2^(eb-1) / 2^s)), 2^s the power of two nearest to max|x|: 2 max^2 against powers of four
    gradient     dw = sum e_U p',  db = sum e_U                         sums over batch and space
    rounding     t  = rint(|dw| eta 2^(rng_bits - s)),  n = t >> rng_bits, one more if (t mod 2^rng_bits) > u; u random
    update       w_stored -= sign(dw) n, clamped to +-(2^(nb-1) - 1);   w = code(rint(w_stored 2^(wb - nb)))

``code`` clamps to +-(2^(b-1) - 1); of one bit it is the sign, 0 upward. What differs from the float equations by more than the
rounding of multipliers: the grid of U has the step 8 * 2^-(ub-1) where it was 8 / (2^(ub-1) - 1); l1 and l2 are rounded to 2^-8
codes of the error, which for the papers' settings is 0; gradients are of codes, without the full scale of P, which is no
power of two (at most a factor of sqrt(2) in size, as E and the rounding divide by a power of two).
"""
