in vec3 world;
in vec3 normal;
in vec3 rest;
in vec4 extra;      // xyz: from the eye's centre at rest in eye radii
uniform vec3 iris_color;
uniform vec4 is_second;
void main() {
    vec3 n = normalize(gl_FrontFacing ? normal : -normal);
    vec3 v = normalize(eye_pos - world);
    float r = length(extra.xy) * step(0.0, extra.z) + 2.0 * step(extra.z, 0.0);
    float angle = atan(extra.y, extra.x);
    float rays = noise4(vec2(angle * 0.8, r * 0.5)).x;
    vec3 white = vec3(0.74, 0.70, 0.67) * (1.0 - 0.25 * smoothstep(0.5, 1.2, r));
    vec3 iris = iris_color * (0.55 + 0.9 * rays) * (1.0 - 0.75 * smoothstep(0.40, 0.50, r)) * (1.0 + 0.8 * smoothstep(0.18, 0.42, r) * smoothstep(0.2, -0.4, extra.y));
    vec3 albedo = mix(iris, white, smoothstep(0.455, 0.50, r));
    albedo = mix(vec3(0.008), albedo, smoothstep(0.185, 0.225, r));
    float lid = 1.0 - 0.6 * smoothstep(0.05, 0.5, extra.y) - 0.25 * smoothstep(0.4, 0.9, abs(extra.x));
    float lit = 0.25 + 0.75 * shadow_at(world, n);
    vec3 color = albedo * lid * (ambient(n) * 0.85 + key_color * max(0.25 + 0.75 * dot(n, key_dir), 0.0) * lit + lamp(world, n));
    vec3 h = normalize(normalize(key_dir + vec3(0.0, 0.35, 0.5)) + v);
    float spark = pow(max(dot(n, h), 0.0), 420.0);
    color += (key_color + sky_color * 1.5) * spark * 1.6 * step(r, 0.8);
    out_color = vec4(finish(fogged(color, world)), 1.0);
    out_mask_a = vec4(1.0, 1.0, 0.0, 0.0);
    out_mask_b = vec4(0.0, is_second.x, 0.0, 0.0);
}
