in vec3 world;
in vec3 normal;
in vec2 uv;
in vec3 color;
in vec2 kind;
uniform sampler2DArray materials;
uniform float gloss;
uniform float wet;       // rain darkens and polishes flat ground
uniform vec4 id_a;
uniform vec4 id_b;
uniform vec4 contacts[6]; // blob shadows: x, z, 1 / radius, strength
void main() {
    vec4 paint = texture(materials, vec3(uv, floor(kind.x + 0.5)));
    if (paint.a < 0.5) discard;
    vec3 v = normalize(eye_pos - world);
    vec3 n = normalize(normal);
    if (dot(n, v) < 0.0) n = -n;
    vec3 painted = paint.rgb * 2.0;
    vec3 albedo = color * painted * (0.35 + 0.45 * painted); // a little contrast, and darker than the people
    float ground = smoothstep(0.8, 0.95, n.y) * step(world.y, 1.5);
    float blob = 1.0;
    for (int k = 0; k < 6; ++k) {
        vec2 d = (world.xz - contacts[k].xy) * contacts[k].z; // z: 1 / radius
        float soft = 1.0 / (1.0 + 0.6 * dot(d, d)); // squared: near to a Gaussian and cheap
        blob *= 1.0 - contacts[k].w * soft * soft;
    }
    blob = mix(1.0, blob, ground);
    albedo *= 1.0 - 0.35 * wet * ground;
    float nl = max(dot(n, key_dir), 0.0);
    float lit = shadow_at(world, n) * blob;
    vec3 shade = ambient(n) * mix(1.0, blob, 0.7) + key_color * nl * lit + lamp(world, n);
    vec3 c = albedo * mix(shade, vec3(1.0), clamp(kind.y, 0.0, 1.0)) * (1.0 + max(kind.y - 1.0, 0.0));
    vec3 h = normalize(key_dir + v);
    float shine = max(gloss, 0.5 * wet * ground);
    float s = max(dot(n, h), 0.0), f = 1.0 - max(dot(n, v), 0.0);
    s *= s; s *= s; s *= s; s *= s; s *= s; // 32nd power
    f *= f;
    c += shine * (key_color * lit * s + 0.35 * sky_color * f * f);
    out_color = vec4(finish(fogged(c, world)), 1.0);
    out_mask_a = id_a;
    out_mask_b = id_b;
}
