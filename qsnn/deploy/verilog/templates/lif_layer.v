// A layer of current-based leaky integrate-and-fire neurons in integers: qsnn's reference, one neuron a clock.
//
//   s    = membrane >= threshold
//   h    = sum of weights of the inputs that spike,  r = sum of recurrent weights of the layer's spikes of the step before
//   syn' = clamp(rint((synapse_factor syn + current_factor h + recurrent_factor r) / 2^synapse_shift))
//   mem' = clamp(rint((membrane_factor mem + arriving_factor syn - reset s) / 2^membrane_shift))
//
// rint rounds halves to even; clamp is to +-(2^(bits-1) - 1), of one bit the sign, 0 upward. Without a synapse, what goes into it goes
// into the membrane in place of syn. The factors take every term to the finest grid of the sum. Weights lie as (input, neuron), of a convolution as
// (map, channel, row, column); inputs and neurons as (channel, row, column).
// A step: x (and the signs of its spikes) held, start high for a clock; busy falls when spikes, synapse and membrane are the new ones.

module lif_layer #(
    parameter INPUTS = 1,
    parameter NEURONS = 1,
    parameter WEIGHT_BITS = 8,
    parameter RECURRENT = 0,
    parameter RECURRENT_BITS = 1,
    parameter SYNAPSE = 1,
    parameter SYNAPSE_BITS = 8,
    parameter MEMBRANE_BITS = 8,
    parameter SPIKES = 1,         // 0: a readout that integrates, without threshold and reset
    parameter KERNEL = 0,         // side of a convolution's, 0: a dense layer
    parameter STRIDE = 1,
    parameter PADDING = 0,
    parameter CHANNELS = 1,
    parameter HEIGHT = 1,
    parameter WIDTH = 1,
    parameter ROWS = 1,           // of a map of neurons
    parameter COLUMNS = 1,
    parameter CURRENT_BITS = 32,  // of h and r, proved sufficient
    parameter BACK_BITS = 1,
    parameter RAW_BITS = 34,      // two more than the sums before they are rounded take
    parameter WEIGHTS = "",
    parameter BACK = "",
    parameter CONSTANTS = ""
) (
    input wire clk,
    input wire reset,
    input wire start,
    input wire [INPUTS-1:0] x,
    input wire [INPUTS-1:0] negative,
    output reg busy,
    output reg [NEURONS-1:0] spikes
);
    localparam SYNAPSE_WORD = SYNAPSE_BITS == 1 ? 2 : SYNAPSE_BITS;
    localparam MEMBRANE_WORD = MEMBRANE_BITS == 1 ? 2 : MEMBRANE_BITS;
    localparam SIDE = KERNEL ? KERNEL : 1;
    localparam PLACES = KERNEL ? CHANNELS * KERNEL * KERNEL : INPUTS;  // weights of a neuron
    localparam MAP = ROWS * COLUMNS;
    localparam WEIGHTS_HELD = KERNEL ? NEURONS / MAP * PLACES : INPUTS * NEURONS;

    reg [WEIGHT_BITS-1:0] weight [0:WEIGHTS_HELD-1];
    reg [RECURRENT_BITS-1:0] back_weight [0:(RECURRENT ? NEURONS*NEURONS : 1)-1];
    reg signed [63:0] constant [0:8];
    reg signed [SYNAPSE_WORD-1:0] synapse [0:NEURONS-1];
    reg signed [MEMBRANE_WORD-1:0] membrane [0:NEURONS-1];

    initial begin
        $readmemh(WEIGHTS, weight);
        $readmemh(CONSTANTS, constant);
        if (RECURRENT)
            $readmemh(BACK, back_weight);
    end

    wire signed [RAW_BITS-1:0] synapse_factor = constant[0][RAW_BITS-1:0];
    wire signed [RAW_BITS-1:0] current_factor = constant[1][RAW_BITS-1:0];
    wire signed [RAW_BITS-1:0] recurrent_factor = constant[2][RAW_BITS-1:0];
    wire [5:0] synapse_shift = constant[3][5:0];
    wire signed [RAW_BITS-1:0] membrane_factor = constant[4][RAW_BITS-1:0];
    wire signed [RAW_BITS-1:0] arriving_factor = constant[5][RAW_BITS-1:0];
    wire signed [RAW_BITS-1:0] reset_by = constant[6][RAW_BITS-1:0];
    wire [5:0] membrane_shift = constant[7][5:0];
    wire signed [63:0] threshold = constant[8];

    function signed [RAW_BITS-1:0] code;
        input signed [RAW_BITS-1:0] raw;
        input [5:0] shift;
        input integer bits;
        reg signed [RAW_BITS-1:0] low, rest, half, highest;
        begin
            low = raw >>> shift;
            if (shift != 0) begin
                half = 1;
                half = half <<< (shift - 1);
                rest = raw - (low <<< shift);
                if (rest > half || (rest == half && low[0]))
                    low = low + 1;
            end
            highest = 1;
            highest = (highest <<< (bits - 1)) - 1;
            if (bits == 1)
                code = raw < 0 ? -1 : 1;
            else if (low > highest)
                code = highest;
            else if (low < -highest)
                code = -highest;
            else
                code = low;
        end
    endfunction

    // A register: which neuron comes next. All others but the memories are wires, in the order of their use.
    reg [31:0] neuron;
    integer n, place, source, row, column;
    reg meets, fired;
    reg [WEIGHT_BITS-1:0] word;
    reg [RECURRENT_BITS-1:0] back_word;
    reg signed [CURRENT_BITS-1:0] current;
    reg signed [BACK_BITS-1:0] back;
    reg signed [SYNAPSE_WORD-1:0] c;
    reg signed [MEMBRANE_WORD-1:0] m;
    reg signed [RAW_BITS-1:0] drive, raw_synapse, raw_membrane;
    reg [NEURONS-1:0] next_spikes;

    // Which input meets weight place of the neuron; of a convolution those beside the maps are none.
    task find;
        if (KERNEL) begin
            row = neuron % MAP / COLUMNS * STRIDE + place / SIDE % SIDE - PADDING;
            column = neuron % COLUMNS * STRIDE + place % SIDE - PADDING;
            source = (place / (SIDE * SIDE) * HEIGHT + row) * WIDTH + column;
            meets = row >= 0 && row < HEIGHT && column >= 0 && column < WIDTH;
        end else begin
            source = place;
            meets = 1;
        end
    endtask

    always @(posedge clk)
        if (reset) begin
            busy <= 0;
            spikes <= 0;
            for (n = 0; n < NEURONS; n = n + 1) begin
                synapse[n] <= 0;
                membrane[n] <= 0;
            end
        end else if (!busy) begin
            busy <= start;
            neuron <= 0;
        end else begin
            current = 0;
            for (place = 0; place < PLACES; place = place + 1) begin
                find;
                if (meets && x[source]) begin
                    word = weight[KERNEL ? neuron / MAP * PLACES + place : place * NEURONS + neuron];
                    if (WEIGHT_BITS == 1 ? word[0] == negative[source] : negative[source])
                        current = current - (WEIGHT_BITS == 1 ? 1 : $signed(word));
                    else
                        current = current + (WEIGHT_BITS == 1 ? 1 : $signed(word));
                end
            end
            back = 0;
            for (place = 0; place < (RECURRENT ? NEURONS : 0); place = place + 1)
                if (spikes[place]) begin
                    back_word = back_weight[place * NEURONS + neuron];
                    if (RECURRENT_BITS == 1)
                        back = back_word[0] ? back + 1 : back - 1;
                    else
                        back = back + $signed(back_word);
                end
            c = synapse[neuron];
            m = membrane[neuron];
            fired = SPIKES && m >= threshold;
            drive = current_factor * current + recurrent_factor * back;
            raw_synapse = synapse_factor * c + drive;
            raw_membrane = membrane_factor * m + (SYNAPSE ? arriving_factor * c : drive) - (fired ? reset_by : 0);
            synapse[neuron] <= code(raw_synapse, synapse_shift, SYNAPSE_BITS);
            membrane[neuron] <= code(raw_membrane, membrane_shift, MEMBRANE_BITS);
            next_spikes[neuron] = fired;
            neuron <= neuron + 1;
            if (neuron == NEURONS - 1) begin
                busy <= 0;
                spikes <= next_spikes;
            end
        end
endmodule
