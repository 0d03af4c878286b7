in vec3 world;
in vec3 normal;
in vec3 rest;
in vec4 extra;      // x: 1 for teeth, 0 for the tongue
uniform vec4 is_second;
void main() {
    vec3 n = normalize(gl_FrontFacing ? normal : -normal);
    float tooth = 0.5 + 0.5 * cos(rest.x * 62.0 / (1.0 + 2.0 * abs(rest.x)));
    vec3 teeth = vec3(0.74, 0.70, 0.62) * (0.80 + 0.20 * smoothstep(0.0, 0.25, tooth)) * (1.0 - 0.65 * smoothstep(0.16, 0.42, abs(rest.x)));
    vec3 albedo = mix(vec3(0.36, 0.09, 0.085), teeth, extra.x);
    float depth = smoothstep(0.9, 1.45, rest.z);
    vec3 color = albedo * (0.15 + 0.55 * depth) * (ambient(n) + key_color * max(0.3 + 0.7 * dot(n, key_dir), 0.0) * 0.75 + lamp(world, n));
    out_color = vec4(finish(fogged(color, world)), 1.0);
    out_mask_a = vec4(1.0, 1.0, 1.0, 0.0);
    out_mask_b = vec4(0.0, is_second.x, 0.0, 0.0);
}
