"""8-bit integers and half precision, and the layers that stay in fp32."""
