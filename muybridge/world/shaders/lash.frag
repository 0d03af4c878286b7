in vec3 world;
in vec3 normal;
in vec3 rest;
in vec4 extra;
uniform vec3 lash_color;
uniform vec4 is_second;
void main() {
    float comb = fract(abs(rest.x) * 55.0 + rest.z * 9.0);
    float out_by = smoothstep(1.40, 1.52, rest.z);
    if (comb > 0.75 - 0.6 * out_by) discard;
    out_color = vec4(finish(fogged(lash_color * (ambient(vec3(0, 1, 0)) + key_color * 0.3), world)), 1.0);
    out_mask_a = vec4(1.0, 1.0, 0.0, 0.0);
    out_mask_b = vec4(0.0, is_second.x, 0.0, 0.0);
}
