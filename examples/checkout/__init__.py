"""Orders: stock, coupons, gift cards, payment, shipment and refunds."""
