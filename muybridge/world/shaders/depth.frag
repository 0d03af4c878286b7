void main() { out_color = vec4(1.0); }
