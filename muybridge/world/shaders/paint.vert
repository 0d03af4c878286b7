in vec3 in_rest;
in vec4 in_extra;
in vec2 in_uv;
out vec3 rest;
out vec4 extra;
void main() {
    rest = in_rest;
    extra = in_extra;
    gl_Position = vec4(in_uv * 2.0 - 1.0, 0.0, 1.0);
}
