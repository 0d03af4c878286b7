in vec2 place;
in vec3 world;
uniform float time;
uniform float burst;   // 1 just after a crackle
uniform float layer;
uniform vec4 id_b;
void main() {
    float y = place.y;
    vec2 p = vec2(place.x * 0.22 + layer * 0.37, y * 0.20 - time * 0.34);
    float n = noise4(p).x * 0.6 + noise4(p * 2.3 + 0.2).y * 0.4;
    float width = (1.0 - y) * (0.55 + 0.45 * smoothstep(0.0, 0.18, y)) * (0.9 + 0.2 * burst);
    float d = abs(place.x + (n - 0.5) * 0.9 * y) / max(width, 0.02);
    float heat = (1.0 - d) * (1.25 - y) + (n - 0.5) * 1.3 - 0.12;
    vec2 cell = vec2(floor(place.x * 9.0), floor((y * 1.4 - time * 0.9) * 9.0));
    float spark = step(0.955 - 0.07 * burst, fract(sin(dot(cell, vec2(12.99, 78.23)) + layer) * 43758.5)) * step(abs(place.x), 0.8) * step(length(fract(vec2(place.x * 9.0, (y * 1.4 - time * 0.9) * 9.0)) - 0.5), 0.16);
    if (heat < 0.08 && spark < 0.5) discard;
    vec3 c = mix(vec3(1.4, 0.22, 0.02), vec3(2.4, 1.5, 0.35), smoothstep(0.15, 0.75, heat));
    c = spark > 0.5 && heat < 0.08 ? vec3(3.0, 1.4, 0.3) : c;
    out_color = vec4(finish(c * (1.0 + 0.5 * burst)), 1.0);
    out_mask_a = vec4(0.0);
    out_mask_b = id_b;
}
