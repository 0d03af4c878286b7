in vec3 world;
in vec3 normal;
in vec3 tangent;
in vec4 strand;
uniform vec3 hair_color;
uniform float curl;      // 0 straight .. 1 tight curls
uniform float density;   // strands per turn
uniform float is_knit;   // 1: a knitted or felt hat instead of strands
uniform sampler2D strand_map;
uniform vec4 is_second;
void main() {
    vec3 v = normalize(eye_pos - world);
    vec3 n = normalize(normal);
    if (dot(n, v) < 0.0) n = -n;
    // One lookup in the strand map: coverage, tone of single hairs, tone of locks, glitter.
    vec4 hairs = texture(strand_map, vec2(strand.x * mix(density * 0.5, 5.0, step(0.3, curl)), strand.y * mix(0.5, 1.6, step(0.3, curl)) + strand.z * 0.37));
    if (curl > 0.3) hairs = noise4(vec2(strand.x * 9.0, strand.y * 2.2 + strand.z * 0.3)) * 1.1 - 0.05;
    float body = hairs.x;
    if (is_knit < 0.5) {
        // Coverage falls with the shell and towards the tips and the hairline, so that outlines break into strands.
        float need = 0.18 + (0.42 - 0.14 * curl) * strand.z + (0.62 - 0.42 * curl) * strand.w * strand.w;
        if (body < need - 0.16) discard;
    }
    vec3 t = normalize(tangent + 0.35 * curl * (hairs.yzw - 0.5));
    vec3 albedo = hair_color * (0.30 + 0.45 * hairs.y + 0.35 * hairs.z);
    albedo *= 0.62 + 0.38 * strand.z + 0.25 * smoothstep(0.0, 0.3, strand.y);
    vec3 h = normalize(key_dir + v);
    float th = dot(t, h);
    // Kajiya and Kay 1989: diffuse from the sine to the strand, two highlights, the second tinted.
    float tl = dot(t, key_dir);
    float diffuse = 0.45 * sqrt(max(1.0 - tl * tl, 0.0)) + 0.55 * clamp((dot(n, key_dir) + 0.3) / 1.3, 0.0, 1.0);
    float lit = 0.25 + 0.75 * shadow_at(world, n);
    float shift = (hairs.y - 0.5) * 0.28;
    float s1 = max(1.0 - (th + shift) * (th + shift), 0.0);
    float s2 = max(1.0 - (th - 0.25 + shift) * (th - 0.25 + shift), 0.0);
    s2 *= s2; s2 *= s2; s2 *= s2; s2 *= s2;
    s1 *= s1; s1 *= s1; s1 *= s1; s1 *= s1; s1 *= s1;
    float up = smoothstep(-0.2, 0.5, dot(n, key_dir));
    vec3 color;
    if (is_knit > 0.5) {
        float rib = 0.5 + 0.5 * sin(strand.x * 6.2832 * 46.0);
        vec3 wool = hair_color * (is_knit > 1.5 ? 0.9 + 0.15 * hairs.y : (0.68 + 0.32 * rib) * (0.9 + 0.2 * sin(strand.y * 160.0)));
        color = wool * (ambient(n) + key_color * clamp((dot(n, key_dir) + 0.2) / 1.2, 0.0, 1.0) * lit + lamp(world, n));
        float frame = step(2.5, is_knit);
        color += frame * key_color * 0.5 * pow(max(dot(n, h), 0.0), 30.0);
        out_mask_a = vec4(1.0, frame, 0.0, 0.0);
        out_mask_b = vec4(1.0 - frame, is_second.x, 0.0, 0.0);
    } else {
        color = albedo * (ambient(n) * 0.9 + key_color * diffuse * lit + lamp(world, n));
        color += key_color * lit * up * (0.10 * s1 * vec3(1.0) + 0.55 * s2 * albedo) * (0.4 + 0.8 * hairs.w) * (1.0 - 0.6 * curl);
        out_mask_a = vec4(1.0, 0.0, 0.0, 1.0);
        out_mask_b = vec4(0.0, is_second.x, 0.0, 0.0);
    }
    color += rim_color * pow(1.0 - max(dot(n, v), 0.0), 3.0) * 0.45;
    out_color = vec4(finish(fogged(color, world)), 1.0);
}
